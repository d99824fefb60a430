"""How requests for history end. Every function here runs under the lock of the request's market."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from actor_runtime.steady_time import SteadyNow
from datastore.coverage.gaps import final_gaps, unfilled
from datastore.coverage.reasons import ReasonCode
from datastore.models import CoverageChange, FetchRequest, GapRepair, Market
from datastore.timeframes.intervals import SECOND_US, micros_of, moment, subtract
from datastore.wording import counted

MAX_SHORT_ANSWERS = 5  # after so many answers that left something out, the request has failed
FIRST_RETRY_DELAY = timedelta(seconds=1)
RETRY_FACTOR = 5  # each delay is so many times the one before

State = FetchRequest.State


def finish(request: FetchRequest) -> None:
    """End the request if all it asked for is stored or can never be fetched; else queue it for what is missing."""
    missing = unfilled(request)
    if not missing:
        end(request)
        return

    buckets = sum(stop - start for start, stop in missing) // (request.resolution * SECOND_US)
    left = moment(missing[0][0]), moment(missing[-1][1])
    fall_short(request, f"the answer left out {counted(buckets, 'bucket')}", left)


def fall_short(request: FetchRequest, error: str, left: tuple[datetime, datetime] | None = None) -> None:
    """Queue the request again, each time later, for what its answer left out; after the last time it has failed.

    left: the first and the last time of what is asked for next; None: as before.
    """
    request.fell_short += 1
    if request.fell_short >= MAX_SHORT_ANSWERS:
        fail(request, error)
        return
    if left is not None:
        start, stop = left
        request.start, request.reached = start, stop if stop < request.stop else None
    request.state, request.error, request.lease_until, request.published_at = State.QUEUED, error, None, None
    request.next_try = SteadyNow() + FIRST_RETRY_DELAY * RETRY_FACTOR ** (request.fell_short - 1)
    request.save()


def fail(request: FetchRequest, reason: str) -> None:
    """End the request without its answer."""
    end(request, State.FAILED, reason)


def end(request: FetchRequest, state: str = State.DONE, error: str | None = None) -> None:
    """End the request."""
    request.state, request.error, request.lease_until, request.next_try = state, error, None, None
    request.finished_at = SteadyNow()
    request.save()


def add_final_gap(market: Market, resolution: int, start: datetime, stop: datetime, reason: str) -> bool:
    """Store that the provider will never answer for [start, stop), so that it is not asked again.

    A final gap with the same reason that touches it is joined to it. Return False if all of it was already known.
    """
    bounds = micros_of(start), micros_of(stop)
    if not subtract([bounds], final_gaps(market, resolution, start, stop)):
        return False
    CoverageChange.note_gap(market, resolution, start, stop)

    gaps = GapRepair.objects.filter(market=market, resolution=resolution)
    same_reason = gaps.filter(final=True, reason=reason, start__lte=stop, stop__gte=start)
    for other in same_reason:
        start, stop = min(start, other.start), max(stop, other.stop)
    same_reason.delete()

    # Of a gap under repair only what is not final stays: no reader may see two gaps for the same time.
    _cut_out(gaps.filter(final=False, start__lt=stop, stop__gt=start), start, stop)
    GapRepair.objects.create(
        market=market,
        resolution=resolution,
        start=start,
        stop=stop,
        reason=reason,
        code=ReasonCode.FINAL,
        final=True,
        version=market.version + 1,
    )
    return True


def drop_final_gaps(market: Market, resolution: int, start: datetime, stop: datetime) -> bool:
    """Forget what was stored as final of [start, stop), so that it can be asked for again; False if nothing was.

    The caller raises the market's version.
    """
    final = GapRepair.objects.filter(market=market, resolution=resolution, final=True, start__lt=stop, stop__gt=start)
    if not final.exists():
        return False
    CoverageChange.note_gap(market, resolution, start, stop)
    _cut_out(final, start, stop)
    return True


def _cut_out(gaps: QuerySet[GapRepair], start: datetime, stop: datetime) -> None:
    """Remove [start, stop) from these gaps; what is left of one keeps its reason and attempts."""
    removed = micros_of(start), micros_of(stop)
    for gap in list(gaps):
        columns = ("market", "resolution", "reason", "code", "version", "attempts", "next_try", "final")
        values = {name: getattr(gap, name) for name in columns}
        gap.delete()
        for low, high in subtract([(micros_of(gap.start), micros_of(gap.stop))], [removed]):
            GapRepair.objects.create(start=moment(low), stop=moment(high), **values)
