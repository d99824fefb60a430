"""How requests for history end. Every function here works under the lock of the request's market."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models.functions import Now

from datastore.coverage.gaps import final_gaps, unfilled
from datastore.models import CoverageChange, FetchRequest, GapRepair, Market
from datastore.timeframes.intervals import SECOND_US, Interval, micros_of, moment, subtract

MOST_TIMES = 5  # that an answer may fall short
FIRST_WAIT = timedelta(seconds=1)
LONGER = 5  # times, after each answer that fell short

State = FetchRequest.State


def finish(request: FetchRequest) -> None:
    """End the request if what it asked for is stored or refused for good, else queue it for what is missing."""
    lacking = unfilled(request)
    if not lacking:
        _end(request, State.DONE, None)
        return
    request.fell_short += 1
    error = _shortfall(request, lacking)
    if request.fell_short >= MOST_TIMES:
        _end(request, State.FAILED, error)
        return
    stop = moment(lacking[-1][1])
    request.state, request.error, request.lease_until, request.published_at = State.QUEUED, error, None, None
    request.start, request.reached = moment(lacking[0][0]), stop if stop < request.stop else None
    request.next_try = Now() + FIRST_WAIT * LONGER ** (request.fell_short - 1)
    request.save()


def fail(request: FetchRequest, reason: str) -> None:
    """End the request without its answer."""
    _end(request, State.FAILED, reason)


def refuse(market: Market, resolution: int, start: datetime, stop: datetime, reason: str) -> bool:
    """Remember that the provider will never answer for [start, stop), so that it is not asked again.

    False where that was known already. What touches an older refusal with this reason becomes one with it.
    """
    bounds = micros_of(start), micros_of(stop)
    if not subtract([bounds], final_gaps(market, resolution, start, stop)):
        return False
    CoverageChange.note_gap(market, resolution, start, stop)
    holes = GapRepair.objects.filter(market=market, resolution=resolution)
    alike = holes.filter(final=True, reason=reason, start__lte=stop, stop__gte=start)
    for other in alike:
        start, stop = min(start, other.start), max(stop, other.stop)
    alike.delete()
    for open_hole in holes.filter(final=False, start__lt=stop, stop__gt=start):
        _cut_out(open_hole, (micros_of(start), micros_of(stop)))
    GapRepair.objects.create(
        market=market,
        resolution=resolution,
        start=start,
        stop=stop,
        reason=reason,
        final=True,
        version=market.version + 1,
    )
    return True


def _cut_out(hole: GapRepair, final: Interval) -> None:
    """Leave of a hole under repair what is not refused: nobody should read of both for the same time."""
    kept = {name: getattr(hole, name) for name in ("market", "resolution", "reason", "version", "attempts", "next_try")}
    for low, high in subtract([(micros_of(hole.start), micros_of(hole.stop))], [final]):
        GapRepair.objects.create(start=moment(low), stop=moment(high), **kept)
    hole.delete()


def _end(request: FetchRequest, state: str, error: str | None) -> None:
    request.state, request.error, request.lease_until, request.next_try = state, error, None, None
    request.finished_at = Now()
    request.save()


def _shortfall(request: FetchRequest, lacking: list[Interval]) -> str:
    buckets = sum(stop - start for start, stop in lacking) // (request.resolution * SECOND_US)
    return f"the answer left out {buckets} bucket{'' if buckets == 1 else 's'}"
