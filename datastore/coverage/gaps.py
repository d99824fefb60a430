"""What is not proven of a market, and what the provider has refused for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from datastore.coverage.certificate import MISSING, Evidence, Run, first_not_final, runs_of
from datastore.coverage.facts import Facts, facts_of, head_of
from datastore.coverage.feed_progress import acknowledged_until
from datastore.coverage.segments import NO_ROWS, Segment, segments_of
from datastore.models import FetchRequest, GapRepair, Market
from datastore.timeframes.intervals import Interval, clip, micros_of, moment, subtract, union
from datastore.timeframes.timeframe import BASE


def missing(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Interval]:
    """Return the buckets of [start, stop) that are not proven and for which the provider's answer would be final.

    Before the provider's first stamp the database's clock is used: the provider leaves out what is asked for too early.
    """
    if start >= stop:
        return []
    evidence, runs = _missing_runs(facts_of(market, resolution, start, stop), resolution, start, stop)
    beyond = clip(unproven_beyond(evidence, resolution, acknowledged_until(market)), micros_of(start), micros_of(stop))
    return union([*((run.start, run.stop) for run in runs), *beyond])


def beyond_watermark(market: Market, resolution: int) -> list[Interval]:
    """Return the buckets after the watermark that the provider can answer for finally and no feed will bring.

    They are not gaps yet, since the watermark waits for a feed that has gone; their repair need not wait with it.
    """
    head = head_of(market)
    if not head.known or head.watermark is None:
        return []
    facts = facts_of(market, resolution, moment(head.watermark), moment(head.now))
    return unproven_beyond(facts.evidence, resolution, acknowledged_until(market))


def gap_segments(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Segment]:
    """Return the gaps of [start, stop) that time cannot fill any more as segments, each with the reason for it."""
    if start >= stop:
        return []
    return gap_segments_of(facts_of(market, resolution, start, stop), resolution, start, stop)


def gap_segments_of(facts: Facts, resolution: int, start: datetime, stop: datetime) -> list[Segment]:
    """Return the same from facts that hold [start, stop). Pure."""
    evidence, runs = _missing_runs(facts, resolution, start, stop)
    return [
        segment
        for run in runs
        for segment in segments_of([run], BASE[resolution], [NO_ROWS], evidence.live, facts.ended, [], facts.id_gaps)
    ]


def final_gaps(market: Market, resolution: int, start: datetime, stop: datetime) -> list[Interval]:
    """Return the parts that the provider said it will never answer for; they may reach beyond [start, stop)."""
    found = GapRepair.objects.filter(market=market, resolution=resolution, final=True, start__lt=stop, stop__gt=start)
    return union((micros_of(low), micros_of(high)) for low, high in found.values_list("start", "stop"))


def unfilled(request: FetchRequest) -> list[Interval]:
    """Return the buckets of a request for which we have neither an answer or refusal of the provider nor our trades."""
    market, resolution, start, stop = request.market, request.resolution, request.start, request.stop
    bounds = micros_of(start), micros_of(stop)
    proof = facts_of(market, resolution, start, stop).evidence.proof(resolution, *bounds)
    return subtract([bounds], union([*proof.live, *proof.provider, *final_gaps(market, resolution, start, stop)]))


def unproven_beyond(evidence: Evidence, resolution: int, on_its_way: datetime | None) -> list[Interval]:
    """Return the unproven buckets after the watermark that the provider can answer for and no feed will bring. Pure.

    on_its_way: up to where acknowledged claims may wait to be stored; what is before comes by itself.
    """
    floor, final = BASE[resolution].floor, first_not_final(evidence, resolution)
    if evidence.watermark is None or (known := micros_of(floor(moment(evidence.watermark)))) >= final:
        return []
    start = known if on_its_way is None else max(known, micros_of(floor(on_its_way)))
    return subtract([(start, final)], evidence.proof(resolution, start, final).proven) if start < final else []


def _missing_runs(facts: Facts, resolution: int, start: datetime, stop: datetime) -> tuple[Evidence, list[Run]]:
    """Return the runs that time cannot fill any more; an hour that is not over may lack a minute that will come."""
    evidence = facts.evidence
    if not evidence.known:
        evidence = replace(evidence, known=True, watermark=evidence.now)
    runs = runs_of(evidence, BASE[resolution], micros_of(start), micros_of(stop))
    return evidence, [run for run in runs if run.state == MISSING and run.closed]
