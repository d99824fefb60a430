"""What is not proven of a market, and what the provider has refused for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from datastore.coverage.certificate import HOLE, Evidence, Run, awaited_from, runs_of
from datastore.coverage.facts import evidence_of, facts_of, head_of
from datastore.coverage.feed_progress import acknowledged_until
from datastore.coverage.segments import NO_ROWS, Ended, Segment, segments_of
from datastore.models import FetchRequest, GapRepair, Market
from datastore.timeframes.intervals import Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE


def missing(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Interval]:
    """Return the buckets of [start, stop) that are not proven and of which the provider's answer would be final.

    Before its first stamp the database's clock stands for the provider's: what is asked for too early, it leaves out.
    """
    if start >= stop:
        return []
    evidence, _ = _known(market, resolution, start, stop)
    holes = ((run.start, run.stop) for run in _holes(evidence, resolution, start, stop))
    return union([*holes, *clip(_ahead(market, evidence, resolution), micros_of(start), micros_of(stop))])


def beyond_watermark(market: Market, resolution: int) -> list[Interval]:
    """Return the buckets after the watermark that the provider can answer for finally and no feed will bring.

    They are no holes yet, since the watermark waits for a feed that has gone; their repair need not wait with it.
    """
    head = head_of(market)
    if not head.known or head.watermark is None:
        return []
    evidence, _ = evidence_of(market, head, resolution, moment(head.watermark), moment(head.now))
    return _ahead(market, evidence, resolution)


def gap_segments(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Segment]:
    """Return the same buckets as segments, each with the reason why it is not proven."""
    if start >= stop:
        return []
    evidence, ended = _known(market, resolution, start, stop)
    return [
        segment
        for run in _holes(evidence, resolution, start, stop)
        for segment in segments_of([run], BASE[resolution], [NO_ROWS], evidence.live, ended, [])
    ]


def final_gaps(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Interval]:
    """Return the parts that the provider said it will never answer for; they may reach beyond [start, stop)."""
    found = GapRepair.objects.filter(market=market, resolution=resolution, final=True, start__lt=stop, stop__gt=start)
    return union((micros_of(low), micros_of(high)) for low, high in found.values_list("start", "stop"))


def unfilled(request: FetchRequest) -> list[Interval]:
    """Return the buckets of a request that neither the provider's answers nor our own trades hold, nor a refusal."""
    market, resolution, start, stop = request.market, request.resolution, request.start, request.stop
    bounds = micros_of(start), micros_of(stop)
    evidence = facts_of(market, resolution, start, stop).evidence
    held = [
        *evidence.provider_buckets(resolution, *bounds),
        *evidence.live_buckets(resolution, *bounds),
        *final_gaps(market, resolution, start, stop),
    ]
    return subtract([bounds], union(held))


def _ahead(market: Market, evidence: Evidence, resolution: int) -> list[Interval]:
    floor, final = BASE[resolution].floor, awaited_from(evidence, resolution)
    if evidence.watermark is None or (known := micros_of(floor(moment(evidence.watermark)))) >= final:
        return []
    # What is acknowledged and not stored yet comes by itself, and reaches no further.
    on_its_way = acknowledged_until(market)
    start = known if on_its_way is None else max(known, micros_of(floor(on_its_way)))
    return subtract([(start, final)], evidence.proven_buckets(resolution, start, final)) if start < final else []


def _known(market: Market, resolution: int, start: datetime, stop: datetime) -> tuple[Evidence, Sequence[Ended]]:
    facts = facts_of(market, resolution, start, stop)
    head, evidence = facts.head, facts.evidence
    return (evidence if head.known else replace(evidence, known=True, watermark=head.now)), facts.ended


def _holes(evidence: Evidence, resolution: int, start: datetime, stop: datetime) -> list[Run]:
    """Return the holes that time cannot fill any more: an hour that is not over may hold one and is not lost yet."""
    runs = runs_of(evidence, BASE[resolution], micros_of(start), micros_of(stop))
    return [run for run in runs if run.state == HOLE and run.closed]
