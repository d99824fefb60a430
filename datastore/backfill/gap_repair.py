"""The gap scan: it stores the gaps of each market with a feed, requests them, and removes them when they are filled.

A market that nobody follows or streams has no feed: its newest minutes would be new gaps for ever, so only what its
readers ask for is fetched. The scan covers the range that was ever covered or requested, up to the watermark. A gap
keeps its attempts as long as a part of it is left, so one that the provider cannot fill is requested less and less
often; what is added to it starts from zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from django.db import transaction

from datastore.backfill import fetch_queue
from datastore.backfill.store import update_versions
from datastore.coverage.claims import take_back_future
from datastore.coverage.gaps import beyond_watermark, final_gaps, gap_segments
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from datastore.models import CoverageChange, FetchRequest, GapRepair, Market
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import provider_now, provider_time_known, steady_now
from datastore.timeframes.intervals import Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE, BASE_SECONDS

FIRST_REPAIR_DELAY, MAX_REPAIR_DELAY = timedelta(seconds=30), timedelta(hours=1)
MAX_ERRORS_READ = 50  # newest failures of a market that may explain its gaps

State = FetchRequest.State


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Buckets [start, stop) that are not proven, why, and what was done about it."""

    start: datetime
    stop: datetime
    reason: str
    attempts: int = 0
    next_try: datetime | None = None

    @property
    def interval(self) -> Interval:
        """Return the gap's time in microseconds."""
        return micros_of(self.start), micros_of(self.stop)


def scan() -> list[MarketChange]:
    """Store, request and remove the gaps of markets with a feed, a transaction for each; return what changed.

    Before the provider's first timestamp no gap can be known.
    """
    if not provider_time_known():
        return []

    taken_back = take_back_future()
    changes: list[MarketChange] = []
    for pk in feed_markets().order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            market = Market.objects.select_for_update(no_key=True).get(pk=pk)
            # Checked under the lock: when a market loses its feed, its gaps are deleted for good.
            resolutions = BASE_SECONDS if feed_markets().filter(pk=pk).exists() else ()
            changed = [_scan(market, resolution) for resolution in resolutions]
            changes += update_versions([market], [pk] if any(changed) else [])

    with suppress(market_cache.CacheUnavailable):  # it is written again at every start and never trusted for long
        market_cache.write_changed(changes)
        market_cache.write_markets(taken_back)
    return changes


def open_gaps(market: Market) -> list[GapRepair]:
    """Return the gaps of a market that are being repaired or final, the newest first."""
    return list(GapRepair.objects.filter(market=market).order_by("-start", "resolution"))


def _scan(market: Market, resolution: int) -> bool:
    """Bring the rows of one resolution up to date; return whether any answer shows the difference."""
    ((since,),) = fetch_all(statement("known", "known_since"), {"market": market.pk, "resolution": resolution})
    # What no feed will bring is requested as soon as it is final, unless that just failed: it has no row to count in.
    spans = beyond_watermark(market, resolution) if since is not None else []
    bounds = (moment(spans[0][0]), moment(spans[-1][1])) if spans else None
    if bounds and not fetch_queue.recent_failure(market, resolution, *bounds):
        fetch_queue.enqueue(market, resolution, *bounds, fetch_queue.Purpose.GAP)

    rows = list(GapRepair.objects.filter(market=market, resolution=resolution, final=False).order_by("start"))
    found = list(_find_gaps(market, resolution, moment(since), rows)) if since is not None else []
    gaps = _join(_request_due(market, resolution, found))
    known = {(row.start, row.stop): row for row in rows}
    changed = [_write(market, resolution, known.pop((gap.start, gap.stop), None), gap) for gap in gaps]
    for row in known.values():
        CoverageChange.note_gap(market, resolution, row.start, row.stop)
    closed, _ = GapRepair.objects.filter(pk__in=[row.pk for row in known.values()]).delete()
    return any(changed) or closed > 0


def _find_gaps(market: Market, resolution: int, since: datetime, rows: Sequence[GapRepair]) -> Iterator[OpenGap]:
    """Yield the gaps since a time as they are now, cut where the rows of the last scan begin and end."""
    bounds = BASE[resolution].floor(since), BASE[resolution].ceil(provider_now())
    final = final_gaps(market, resolution, *bounds)
    failed = FetchRequest.objects.filter(market=market, resolution=resolution, error__isnull=False)
    errors = list(failed.exclude(state=State.DONE).order_by("-id")[:MAX_ERRORS_READ])

    for segment in gap_segments(market, resolution, *bounds):
        gap = OpenGap(segment.start, segment.stop, segment.reason or "")
        left = subtract([gap.interval], final)
        for row in rows:
            for low, high in clip(left, micros_of(row.start), micros_of(row.stop)):
                part = replace(gap, start=moment(low), stop=moment(high))
                yield replace(part, reason=_reason(part, errors), attempts=row.attempts, next_try=row.next_try)
        old = union((micros_of(row.start), micros_of(row.stop)) for row in rows)
        for low, high in subtract(left, old):
            part = replace(gap, start=moment(low), stop=moment(high))
            yield replace(part, reason=_reason(part, errors))


def _request_due(market: Market, resolution: int, gaps: list[OpenGap]) -> Iterator[OpenGap]:
    """Request the gaps that are due, neighbours together, and count the attempt; leave out what is under way."""
    if not gaps:
        return
    now = steady_now()
    gaps.sort(key=lambda gap: gap.start)
    requests = fetch_queue.active(market, resolution, gaps[0].start, gaps[-1].stop)
    requested = _intervals(requests)
    own = _intervals(one for one in requests if one.purpose == fetch_queue.Purpose.GAP)

    # Cut each gap where requests under way begin and end: the rest of it is requested by itself.
    parts = [
        replace(gap, start=moment(low), stop=moment(high))
        for gap in gaps
        for low, high in sorted([*clip(requested, *gap.interval), *subtract([gap.interval], requested)])
    ]

    def is_due(gap: OpenGap) -> bool:
        waits = gap.next_try is not None and gap.next_try > now
        return not waits and bool(subtract([gap.interval], requested))

    for due, group in groupby(parts, is_due):
        neighbours = list(group)
        if due:
            bounds = neighbours[0].start, neighbours[-1].stop
            fetch_queue.enqueue(market, resolution, *bounds, fetch_queue.Purpose.GAP)
        for gap in neighbours:
            requested_ahead = not gap.attempts and not subtract([gap.interval], own)
            if due or requested_ahead:
                delay = min(FIRST_REPAIR_DELAY * 2 ** min(gap.attempts, 10), MAX_REPAIR_DELAY)
                yield replace(gap, attempts=gap.attempts + 1, next_try=now + delay)
            else:
                yield gap


def _intervals(requests: Iterable[FetchRequest]) -> list[Interval]:
    return union((micros_of(one.start), micros_of(one.stop)) for one in requests)


def _join(gaps: Iterable[OpenGap]) -> list[OpenGap]:
    """Join gaps that touch and have the same reason and attempts, so that a growing gap stays one row."""
    joined: list[OpenGap] = []
    for gap in gaps:
        last = joined[-1] if joined else None
        if last and last.stop == gap.start and (last.reason, last.attempts) == (gap.reason, gap.attempts):
            joined[-1] = replace(last, stop=gap.stop)
        else:
            joined.append(gap)
    return joined


def _write(market: Market, resolution: int, row: GapRepair | None, gap: OpenGap) -> bool:
    """Write the gap's row if it is new or has changed; return whether it was written."""
    values = (gap.reason, gap.attempts, gap.next_try)
    if row is not None and (row.reason, row.attempts, row.next_try) == values:
        return False
    row = row or GapRepair(market=market, resolution=resolution, start=gap.start, stop=gap.stop)
    row.reason, row.attempts, row.next_try = values
    row.version = market.version + 1
    row.save()
    CoverageChange.note_gap(market, resolution, gap.start, gap.stop)
    return True


def _reason(gap: OpenGap, errors: Sequence[FetchRequest]) -> str:
    """Return why the gap is still there: what kept it from being fetched, else how it came about."""
    own = (one.error for one in errors if one.start < gap.stop and one.stop > gap.start)
    return next((error for error in own if error), gap.reason)
