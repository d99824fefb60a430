"""The gap scan: it stores the gaps of each market with a feed, requests them, and removes them when they are filled.

A market that nobody follows or streams has no feed: its newest minutes would be new gaps for ever, so only what its
readers ask for is fetched. The scan covers the range that was ever covered or requested, up to the watermark. A gap
keeps its attempts as long as a part of it is left, so one that the provider cannot fill is requested less and less
often; what is added to it starts from zero.

All markets are looked at in a fixed number of statements; only one that has to change is locked and looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Q

from datastore.backfill import fetch_queue
from datastore.backfill.completion import drop_final_gaps
from datastore.backfill.gap_survey import Survey, bounds_of, intervals_of, survey
from datastore.backfill.history_write import update_versions
from datastore.backfill.trade_fill import request_fills, request_newest_trades
from datastore.coverage.reasons import Reason, ReasonCode
from datastore.coverage.wrong_claims import take_back_future
from datastore.db.queries import snapshot
from datastore.ingest import market_cache
from datastore.ingest.live_write import MarketChange
from datastore.models import CoverageChange, GapRepair, Market
from datastore.reference.markets import feed_markets
from datastore.reference.provider_clock import known_times
from datastore.reference.staleness import stale_after
from datastore.timeframes.intervals import Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE
from streaming.ends import EndCode

FIRST_REPAIR_DELAY, MAX_REPAIR_DELAY = timedelta(seconds=30), timedelta(hours=1)

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Buckets [start, stop) that are not proven, why, and what was done about it."""

    start: datetime
    stop: datetime
    reason: Reason
    attempts: int = 0
    next_try: datetime | None = None

    @property
    def interval(self) -> Interval:
        """Return the gap's time in microseconds."""
        return micros_of(self.start), micros_of(self.stop)

    @property
    def values(self) -> tuple[Reason, int, datetime | None]:
        """Return what its row holds beside its time."""
        return self.reason, self.attempts, self.next_try


@dataclass(frozen=True, slots=True)
class Repair:
    """What a scan has to do for one market and resolution."""

    requests: list[Span]  # to be requested, in whole buckets
    written: list[tuple[GapRepair | None, OpenGap]]  # rows that are new or changed, and their gap
    closed: list[GapRepair]  # rows whose gap is gone

    @property
    def is_needed(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.requests or self.written or self.closed)


def scan() -> list[MarketChange]:
    """Store, request and remove the gaps of markets with a feed, a transaction for each; return what changed.

    Before its provider's first timestamp no gap of a market can be known.
    """
    if not (known := known_times()):
        return []

    taken_back = take_back_future()
    request_newest_trades(known)
    request_fills()
    with snapshot():
        ids = set(feed_markets().filter(provider__in=known).values_list("pk", flat=True))
        due = {one.market_id for one in survey(ids) if repair_of(one).is_needed}
    # Of the others, time itself moves the watermarks that no feed moves; no consumer has to wait for the rest.
    waits = [Q(provider=name, watermark__lt=now - stale_after()) for name, now in known.items()]
    with transaction.atomic():
        # A locked market is left out: its writer stores its watermark.
        quiet = Market.objects.select_for_update(no_key=True, skip_locked=True).filter(pk__in=ids - due)
        changes = update_versions(list(quiet.filter(reduce(or_, waits, Q(watermark=None))).order_by("pk")), [])
    for market_id in sorted(due):
        with transaction.atomic():
            market = Market.objects.select_for_update(no_key=True).get(pk=market_id)
            # Checked under the lock: when a market loses its feed, its gaps are deleted for good.
            surveys = survey([market_id]) if feed_markets().filter(pk=market_id).exists() else []
            changed = [_carry_out(market, one.resolution, repair_of(one)) for one in surveys]
            changes += update_versions([market], [market_id] if any(changed) else [])

    _show(changes)
    with suppress(market_cache.CacheUnavailable):
        market_cache.write_markets(taken_back)
    return sorted(changes, key=lambda change: change.market_id)


def open_gaps(market: Market) -> list[GapRepair]:
    """Return the gaps of a market that are being repaired or final, the newest first."""
    return list(GapRepair.objects.filter(market=market).order_by("-start", "resolution"))


def reopen(market: Market, resolution: int, start: datetime, stop: datetime) -> bool:
    """Let the final gaps of [start, stop), widened to whole buckets, be asked for again; False if there are none.

    For a person who knows better: a greater plan, a refusal that was wrong. Nothing else ends a final gap.
    """
    start, stop = BASE[resolution].floor(start), BASE[resolution].ceil(stop)
    with transaction.atomic():
        locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        if not drop_final_gaps(locked, resolution, start, stop):
            return False
        changes = update_versions([locked], [locked.pk])
        transaction.on_commit(lambda: _show(changes))
    return True


def _show(changes: Sequence[MarketChange]) -> None:
    with suppress(market_cache.CacheUnavailable):  # it is written again at every start and never trusted for long
        market_cache.write_changed(changes)


def repair_of(one: Survey) -> Repair:
    """Return what has to be done for one market and resolution. Pure."""
    gaps, requests = _with_requests(one, sorted(_find_gaps(one), key=lambda gap: gap.start))
    known = {(row.start, row.stop): row for row in one.rows}
    joined = [(known.pop((gap.start, gap.stop), None), gap) for gap in _join(gaps)]
    written = [
        (row, gap)
        for row, gap in joined
        if row is None or (Reason(row.code, row.reason), row.attempts, row.next_try) != gap.values
    ]
    return Repair([*_ahead(one), *requests], written, list(known.values()))


def _carry_out(market: Market, resolution: int, repair: Repair) -> bool:
    """Request and write what is due; return whether any answer shows the difference."""
    for start, stop in repair.requests:
        fetch_queue.enqueue(market, resolution, start, stop, fetch_queue.Purpose.GAP)
    for row, gap in repair.written:
        row = row or GapRepair(market=market, resolution=resolution, start=gap.start, stop=gap.stop)
        row.reason, row.code = gap.reason.detail, gap.reason.code
        row.attempts, row.next_try = gap.attempts, gap.next_try
        row.version = market.version + 1
        row.save()
        CoverageChange.note_gap(market, resolution, gap.start, gap.stop)
    for row in repair.closed:
        CoverageChange.note_gap(market, resolution, row.start, row.stop)
    if repair.closed:
        GapRepair.objects.filter(pk__in=[row.pk for row in repair.closed]).delete()
    return bool(repair.written or repair.closed)


def _ahead(one: Survey) -> Iterator[Span]:
    """Yield what no feed will bring and is final, unless that just failed: it has no row to count attempts in."""
    bounds = bounds_of(one.beyond)
    if bounds is None:
        return
    start, stop = bounds
    failed = any(error.is_recent and error.start < stop and error.stop > start for error in one.errors)
    urgent = [request for request in one.requests if request.purpose <= fetch_queue.Purpose.GAP]
    if not failed and subtract(one.beyond, union([*intervals_of(urgent), *one.final])):
        yield bounds


def _find_gaps(one: Survey) -> Iterator[OpenGap]:
    """Yield the gaps as they are now, cut where the rows of the last scan begin and end."""
    old = union((micros_of(row.start), micros_of(row.stop)) for row in one.rows)
    for segment in one.gaps:
        why = Reason(segment.code or EndCode.OTHER, segment.reason or "")
        gap = OpenGap(segment.start, segment.stop, why)
        left = subtract([gap.interval], one.final)
        for row in one.rows:
            for low, high in clip(left, micros_of(row.start), micros_of(row.stop)):
                part = replace(gap, start=moment(low), stop=moment(high))
                yield replace(part, reason=_reason(part, one.errors), attempts=row.attempts, next_try=row.next_try)
        for low, high in subtract(left, old):
            part = replace(gap, start=moment(low), stop=moment(high))
            yield replace(part, reason=_reason(part, one.errors))


def _with_requests(one: Survey, gaps: list[OpenGap]) -> tuple[list[OpenGap], list[Span]]:
    """Return the gaps with the attempts that this scan adds, and what it requests, neighbours together."""
    requested = union([*intervals_of(one.requests), *one.filling])
    own = union(intervals_of([request for request in one.requests if request.purpose == fetch_queue.Purpose.GAP]))

    # Cut each gap where requests under way begin and end: the rest of it is requested by itself.
    parts = [
        replace(gap, start=moment(low), stop=moment(high))
        for gap in gaps
        for low, high in sorted([*clip(requested, *gap.interval), *subtract([gap.interval], requested)])
    ]

    def is_due(gap: OpenGap) -> bool:
        waits = gap.next_try is not None and gap.next_try > one.now
        return not waits and bool(subtract([gap.interval], requested))

    found: list[OpenGap] = []
    spans: list[Span] = []
    for due, group in groupby(parts, is_due):
        neighbours = list(group)
        if due:
            spans.append((neighbours[0].start, neighbours[-1].stop))
        for gap in neighbours:
            requested_ahead = not gap.attempts and not subtract([gap.interval], own)
            if due or requested_ahead:
                delay = min(FIRST_REPAIR_DELAY * 2 ** min(gap.attempts, 10), MAX_REPAIR_DELAY)
                gap = replace(gap, attempts=gap.attempts + 1, next_try=one.now + delay)
            found.append(gap)
    return found, spans


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


def _reason(gap: OpenGap, errors: Sequence[Any]) -> Reason:
    """Return why the gap is still there: what kept it from being fetched, else how it came about."""
    own = (one.error for one in errors if one.start < gap.stop and one.stop > gap.start)
    return next((Reason(ReasonCode.FETCH, error) for error in own if error), gap.reason)
