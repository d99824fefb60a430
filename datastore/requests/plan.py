"""What a series is missing, which of that can be asked of the provider now, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.apps import apps
from django.db.models import Q

from actor_runtime.models import with_silence
from actor_runtime.ownership.claims import HEARTBEAT_TIMEOUT
from actor_runtime.steady_time import SteadyNow
from datastore.backfill.fetch_queue import recent_failure
from datastore.coverage.certificate import FINER, INCOMPLETE
from datastore.coverage.gaps import beyond_watermark
from datastore.coverage.reasons import ReasonCode
from datastore.models import DatastoreRequest, FetchRequest, GapRepair, Market
from datastore.reference.traits import CandleTraits
from datastore.series.reader import Series
from datastore.timeframes.intervals import micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE, BEGINNING, TIMEFRAMES

NO_COORDINATOR = "no Coordinator is running, so nothing can be fetched now"


@dataclass(frozen=True, slots=True)
class MissingSpan:
    """A stretch of whole buckets [start, stop) of one resolution (seconds) that the provider may have."""

    resolution: int
    start: datetime
    stop: datetime


class Plan(NamedTuple):
    """What to fetch, and why something that is missing cannot be fetched now; None: nothing is refused."""

    fetch: list[MissingSpan]
    refusal: str | None


def plan(market: Market, series: Series, reach: datetime | None = None) -> Plan:
    """Return what to fetch for a series: what it is missing and no fetch has been tried for.

    With reach, a series with any gap is fetched up to there: a reader of a long range goes through it page by page,
    and all of it is fetched at once. Raises DatabaseError.
    """
    untried = [part for span in missing_spans(series, reach) for part in _untried(market, span)]
    if not untried:
        return Plan([], None)
    if not coordinator_runs():
        return Plan([], NO_COORDINATOR)

    failures = [recent_failure(market, span.resolution, span.start, span.stop) for span in untried]
    fetch = [span for span, failure in zip(untried, failures, strict=True) if failure is None]
    refusal = next((failure for failure in failures if failure is not None), None)

    # What follows a gap and no feed will bring is no gap yet, but becomes one while the answer is waited for.
    ends: dict[int, datetime] = {}
    for span in fetch:
        ends[span.resolution] = max(span.stop, ends.get(span.resolution, span.stop))
    for resolution, end in ends.items():
        for start, stop in beyond_watermark(market, resolution):
            if moment(start) <= end:
                fetch.append(MissingSpan(resolution, moment(start), moment(stop)))
    return Plan(fetch, refusal)


def missing_spans(series: Series, reach: datetime | None = None) -> list[MissingSpan]:
    """Return what the series is missing up to reach, by the resolutions to ask for; empty if it is whole. Pure."""
    frame = TIMEFRAMES[series.timeframe]
    gaps = [
        (micros_of(part.start), micros_of(part.stop))
        for part in series.segments
        # Before the provider's first stamp nothing is known to be a gap; its answer will say.
        if part.state in INCOMPLETE or part.code == ReasonCode.NO_TIME
    ]
    for open_ms in series.unfinished:
        start = moment(open_ms * 1000)
        gaps.append((micros_of(start), micros_of(frame.after(start))))
    if gaps and reach and reach > series.stop:
        gaps.append((micros_of(series.stop), micros_of(reach)))
    return [
        span
        for start, stop in union(gaps)
        for span in final_spans(series.candle_traits, frame.base, moment(start), moment(stop), series.server_time)
    ]


def final_spans(
    candles: CandleTraits, resolution: int, start: datetime, stop: datetime, now: datetime
) -> Iterator[MissingSpan]:
    """Yield the buckets whose answer is final at the provider's time `now`, and the finer ones of those after them.

    candles: of the market's provider.
    """
    frame = BASE[resolution]
    final = frame.floor(candles.final_before(resolution, now))
    start = max(frame.floor(start), BEGINNING)  # the newest 10,000 weeks reach further back than a provider understands
    if start < min(stop, final):
        yield MissingSpan(resolution, start, min(frame.ceil(stop), final))
    if resolution in FINER and max(start, final) < min(stop, now):
        yield from final_spans(candles, FINER[resolution], max(start, final), min(stop, now), now)


def coordinator_runs() -> bool:
    """Return whether a Coordinator has given a sign of life within 10 s; without one nothing is fetched."""
    rows = with_silence(apps.get_model("coordination", "Coordinator")._default_manager.exclude(owner=""))
    return bool(rows.filter(retired_at=None, silence__lte=HEARTBEAT_TIMEOUT).exists())


def provider_unavailable(request: DatastoreRequest) -> str | None:
    """Return why the provider is left alone for now; None if it is not, so that its answer is worth waiting for."""
    own = FetchRequest.objects.filter(pk__in=request.fetches)
    # The provider is available although another market's answer fell short.
    affected = Q(resolution__in=own.values("resolution"), fell_short=0) | Q(pk__in=own.values("pk"))
    queued = FetchRequest.objects.filter(affected, state=FetchRequest.State.QUEUED, error__isnull=False)
    held = queued.filter(next_try__gt=SteadyNow()).first()
    return held.error if held else None


def _untried(market: Market, span: MissingSpan) -> Iterator[MissingSpan]:
    """Yield the parts of a span that are neither under repair nor refused for good."""
    tried = GapRepair.objects.filter(
        Q(final=True) | Q(attempts__gt=0),
        market=market,
        resolution=span.resolution,
        start__lt=span.stop,
        stop__gt=span.start,
    )
    known = union((micros_of(start), micros_of(stop)) for start, stop in tried.values_list("start", "stop"))
    for start, stop in subtract([(micros_of(span.start), micros_of(span.stop))], known):
        yield MissingSpan(span.resolution, moment(start), moment(stop))
