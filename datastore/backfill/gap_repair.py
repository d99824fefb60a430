"""The gap scan: holes of every market that is kept become rows, are asked for, and go away when they are filled.

A market that nobody follows or streams has no feed: its newest minutes would be new holes for ever, so only what its
readers ask for is fetched. Looked at is what was ever covered or asked for, up to the watermark. A hole keeps its
attempts as long as a part of it is left, so one that the provider cannot fill is asked for less and less often; what is
added to it starts afresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from django.db import transaction

from datastore.backfill import fetch_queue
from datastore.backfill.store import conclude
from datastore.coverage.gaps import beyond_watermark, final_gaps, gap_segments
from datastore.db.queries import fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from datastore.models import CoverageChange, FetchRequest, GapRepair, Market
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import provider_now, provider_time_known
from datastore.timeframes.intervals import Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE, BASE_SECONDS

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
ERRORS = 50  # newest failures of a market that may explain its holes

State = FetchRequest.State


@dataclass(frozen=True, slots=True)
class Gap:
    """Buckets [start, stop) that are not proven, why, and what was done about it."""

    start: datetime
    stop: datetime
    reason: str
    attempts: int = 0
    next_try: datetime | None = None

    @property
    def interval(self) -> Interval:
        """Return the hole's time in microseconds."""
        return micros_of(self.start), micros_of(self.stop)


def scan() -> list[MarketChange]:
    """Open, ask for, and close holes of kept markets, each in its own transaction; return what it did to each.

    Before the first stamp of the provider nothing is known to be a hole.
    """
    if not provider_time_known():
        return []
    changes = [_scan_market(pk) for pk in feed_markets().order_by("pk").values_list("pk", flat=True)]
    with suppress(market_cache.CacheUnavailable):  # it is written anew at every start and never trusted for long
        market_cache.write_changed(changes)
    return changes


def open_gaps(market: Market) -> list[GapRepair]:
    """Return the holes of a market that are being repaired or final, the newest first."""
    return list(GapRepair.objects.filter(market=market).order_by("-start", "resolution"))


def _scan_market(pk: int) -> MarketChange:
    with transaction.atomic():
        market = Market.objects.select_for_update(no_key=True).get(pk=pk)
        # Seen under the lock: whoever lets it go meanwhile finds its holes gone for good.
        scanned = BASE_SECONDS if feed_markets().filter(pk=pk).exists() else ()
        changed = [_scan_resolution(market, resolution) for resolution in scanned]
        (change,) = conclude([market], [pk] if any(changed) else [])
    return change


def _scan_resolution(market: Market, resolution: int) -> bool:
    """Bring the rows of one resolution up to date; True if an answer shows the difference."""
    _ask_ahead(market, resolution)
    rows = list(GapRepair.objects.filter(market=market, resolution=resolution, final=False).order_by("start"))
    holes = _joined(_ask(market, resolution, list(_found(market, resolution, rows))))
    known = {(row.start, row.stop): row for row in rows}
    changed = [_write(market, resolution, known.pop((hole.start, hole.stop), None), hole) for hole in holes]
    for row in known.values():
        CoverageChange.note_gap(market, resolution, row.start, row.stop)
    closed, _ = GapRepair.objects.filter(pk__in=[row.pk for row in known.values()]).delete()
    return any(changed) or closed > 0


def _found(market: Market, resolution: int, rows: Sequence[GapRepair]) -> Iterator[Gap]:
    """Yield the holes as they are now, cut where the rows of the last scan begin and end."""
    since = _known_since(market, resolution)
    if since is None:
        return
    bounds = BASE[resolution].floor(since), BASE[resolution].ceil(provider_now())
    final, errors = final_gaps(market, resolution, *bounds), _errors(market, resolution)
    for segment in gap_segments(market, resolution, *bounds):
        hole = Gap(segment.start, segment.stop, segment.reason or "")
        left = subtract([hole.interval], final)
        for row in rows:
            for low, high in clip(left, micros_of(row.start), micros_of(row.stop)):
                part = replace(hole, start=moment(low), stop=moment(high))
                yield replace(part, reason=_reason(part, errors), attempts=row.attempts, next_try=row.next_try)
        old = union((micros_of(row.start), micros_of(row.stop)) for row in rows)
        for low, high in subtract(left, old):
            part = replace(hole, start=moment(low), stop=moment(high))
            yield replace(part, reason=_reason(part, errors))


def _ask(market: Market, resolution: int, holes: list[Gap]) -> Iterator[Gap]:
    """Ask for the holes that are due, neighbours together, and count the attempt; not for what others asked for."""
    if not holes:
        return
    now: datetime = fetch_value("select statement_timestamp()")
    holes.sort(key=lambda hole: hole.start)
    asked = fetch_queue.active(market, resolution, holes[0].start, holes[-1].stop)
    taken = _spans(asked)
    own = _spans(one for one in asked if one.purpose == fetch_queue.Purpose.GAP)

    def is_due(hole: Gap) -> bool:
        waits = hole.next_try is not None and hole.next_try > now
        return not waits and bool(subtract([hole.interval], taken))

    for due, group in groupby([part for hole in holes for part in _cut(hole, taken)], is_due):
        neighbours = list(group)
        if due:
            bounds = neighbours[0].start, neighbours[-1].stop
            fetch_queue.enqueue(market, resolution, *bounds, fetch_queue.Purpose.GAP)
        for hole in neighbours:
            asked_ahead = not hole.attempts and not subtract([hole.interval], own)
            yield _after_try(hole, now) if due or asked_ahead else hole


def _spans(requests: Iterable[FetchRequest]) -> list[Interval]:
    return union((micros_of(one.start), micros_of(one.stop)) for one in requests)


def _cut(hole: Gap, taken: Sequence[Interval]) -> list[Gap]:
    """Cut a hole where requests under way begin and end: the rest of it is another matter."""
    parts = [*clip(taken, *hole.interval), *subtract([hole.interval], taken)]
    return [replace(hole, start=moment(low), stop=moment(high)) for low, high in sorted(parts)]


def _ask_ahead(market: Market, resolution: int) -> None:
    """Ask for what no feed will bring as soon as it is final, unless asking just failed; it has no row to count in."""
    spans = beyond_watermark(market, resolution) if _known_since(market, resolution) else []
    if spans and not fetch_queue.failed_lately(market, resolution, moment(spans[0][0]), moment(spans[-1][1])):
        fetch_queue.enqueue(market, resolution, moment(spans[0][0]), moment(spans[-1][1]), fetch_queue.Purpose.GAP)


def _after_try(hole: Gap, now: datetime) -> Gap:
    wait = min(FIRST_WAIT * 2 ** min(hole.attempts, 10), LONGEST_WAIT)
    return replace(hole, attempts=hole.attempts + 1, next_try=now + wait)


def _joined(holes: Iterable[Gap]) -> list[Gap]:
    """Join holes that touch and look alike, so that one that grows stays one row."""
    joined: list[Gap] = []
    for hole in holes:
        last = joined[-1] if joined else None
        if last and last.stop == hole.start and (last.reason, last.attempts) == (hole.reason, hole.attempts):
            joined[-1] = replace(last, stop=hole.stop)
        else:
            joined.append(hole)
    return joined


def _write(market: Market, resolution: int, row: GapRepair | None, hole: Gap) -> bool:
    """Write the hole's row where it is new or another; True if it was."""
    told = (hole.reason, hole.attempts, hole.next_try)
    if row is not None and (row.reason, row.attempts, row.next_try) == told:
        return False
    row = row or GapRepair(market=market, resolution=resolution, start=hole.start, stop=hole.stop)
    row.reason, row.attempts, row.next_try = told
    row.version = market.version + 1
    row.save()
    CoverageChange.note_gap(market, resolution, hole.start, hole.stop)
    return True


def _known_since(market: Market, resolution: int) -> datetime | None:
    """Return from where on anything was ever covered or asked for."""
    ((since,),) = fetch_all(statement("known", "known_since"), {"market": market.pk, "resolution": resolution})
    return None if since is None else moment(since)


def _errors(market: Market, resolution: int) -> list[FetchRequest]:
    """Return the newest requests that have not brought what was asked for, with what kept them from it."""
    troubled = FetchRequest.objects.filter(market=market, resolution=resolution, error__isnull=False)
    return list(troubled.exclude(state=State.DONE).order_by("-id")[:ERRORS])


def _reason(hole: Gap, errors: Sequence[FetchRequest]) -> str:
    """Return why the hole is still there: the trouble of fetching it, else how it came about."""
    own = (one.error for one in errors if one.start < hole.stop and one.stop > hole.start)
    return next((error for error in own if error), hole.reason)
