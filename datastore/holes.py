"""What is not proven of a market, and what the provider has refused for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from datastore.certificate import HOLE, Evidence, Run, runs_of
from datastore.evidence import evidence_of, head_of
from datastore.intervals import Interval, micros_of, subtract, union
from datastore.models import FetchRequest, GapRepair, Market
from datastore.segments import NO_ROWS, Ended, Segment, segments_of
from datastore.timeframes import BASE


def absent(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Interval]:
    """Return the buckets of [start, stop) that are not proven and of which the provider's answer would be final.

    Before its first stamp the database's clock stands for the provider's: what is asked for too early, it leaves out.
    """
    if start >= stop:
        return []
    evidence, _ = _known(market, resolution, start, stop)
    return union((run.start, run.stop) for run in _holes(evidence, resolution, start, stop))


def named_holes(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Segment]:
    """Return the same buckets as segments, each with the reason why it is not proven."""
    if start >= stop:
        return []
    evidence, ended = _known(market, resolution, start, stop)
    return [
        segment
        for run in _holes(evidence, resolution, start, stop)
        for segment in segments_of([run], BASE[resolution], [NO_ROWS], evidence.live, ended, [])
    ]


def refused(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Interval]:
    """Return the parts that the provider said it will never answer for; they may reach beyond [start, stop)."""
    found = GapRepair.objects.filter(market=market, resolution=resolution, final=True, start__lt=stop, stop__gt=start)
    return union((micros_of(low), micros_of(high)) for low, high in found.values_list("start", "stop"))


def unanswered(request: FetchRequest) -> list[Interval]:
    """Return the buckets of a request that neither the provider's answers nor our own trades hold, nor a refusal."""
    market, resolution, start, stop = request.market, request.resolution, request.start, request.stop
    bounds = micros_of(start), micros_of(stop)
    evidence, _ = evidence_of(market, head_of(market), resolution, start, stop)
    held = [
        *evidence.provider_buckets(resolution, *bounds),
        *evidence.live_buckets(resolution, *bounds),
        *refused(market, resolution, start, stop),
    ]
    return subtract([bounds], union(held))


def _known(market: Market, resolution: int, start: datetime, stop: datetime) -> tuple[Evidence, Sequence[Ended]]:
    head = head_of(market)
    evidence, ended = evidence_of(market, head, resolution, start, stop)
    return (evidence if head.known else replace(evidence, known=True, watermark=head.now)), ended


def _holes(evidence: Evidence, resolution: int, start: datetime, stop: datetime) -> list[Run]:
    """Return the holes that time cannot fill any more: an hour that is not over may hold one and is not lost yet."""
    runs = runs_of(evidence, BASE[resolution], micros_of(start), micros_of(stop))
    return [run for run in runs if run.state == HOLE and run.closed]
