"""The certificate is decided here: which parts of a series are proven, and by what. `segments` writes it down.

Interval arithmetic over coverage; pure, times in microseconds.

Time is cut into runs of whole buckets with one state. Before the watermark, the first that holds the whole bucket:
live, provider, merged (hours and days: every bucket of the next finer resolution is one of these), pending (the
provider's answer is not final yet), else missing. After the watermark: pending (over, but the feed is not known that
far), open (holds the provider's time) and future. Coarser buckets take their state from the finer ones inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NamedTuple

from datastore.coverage.reasons import BACKLOG, NO_TIME, NOT_BEGUN, NOT_FINAL, Reason
from datastore.reference.traits import CandleTraits, Proof
from datastore.timeframes.intervals import SECOND_US, Interval, clip, micros_of, moment, subtract, union, whole
from datastore.timeframes.timeframe import BASE, DAY_S, HOUR_S, MINUTE_S, Timeframe
from streaming.records import Micros

LIVE, PROVIDER, MERGED, PENDING, OPEN = "live", "provider", "merged", "pending", "open"
PARTIAL, GAP = "partial", "gap"
# Never shown: what is missing is partial where it has a row and a gap where it has none; the future is pending.
MISSING, FUTURE = "missing", "future"
PROVEN = frozenset({LIVE, PROVIDER, MERGED})
INCOMPLETE = frozenset({PARTIAL, GAP})
FINER = {HOUR_S: MINUTE_S, DAY_S: HOUR_S}


class ProvenBuckets(NamedTuple):
    """Buckets that live coverage holds, those that only the provider answered for, and all that are proven."""

    live: list[Interval]
    provider: list[Interval]
    proven: list[Interval]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at one instant about one market."""

    now: Micros  # provider's time
    watermark: Micros | None
    known: bool  # some stamp of the provider was seen
    behind: bool  # acknowledged records wait to be stored
    candles: CandleTraits  # of the market's provider
    live: Sequence[Interval] = ()
    provider: Mapping[int, Sequence[Interval]] = field(default_factory=dict)
    # What of `live` rests on a proof or on a stronger one, the strongest first; the rest of it on the connection.
    graded: Sequence[tuple[Proof, Sequence[Interval]]] = ()

    def proof(self, resolution: int, start: Micros, stop: Micros) -> ProvenBuckets:
        """Return what is proven of [start, stop), both starts of buckets; hours and days also by finer buckets."""
        length = resolution * SECOND_US
        live = whole(clip(self.live, start, stop), length)
        answered = whole(clip(self.provider.get(resolution, ()), start, stop), length)
        provider = subtract(answered, live)
        proven = live + provider
        if resolution in FINER:
            proven += whole(self.proof(FINER[resolution], start, stop).proven, length)
        return ProvenBuckets(live, provider, union(proven))

    def only_ours(self, resolution: int, start: Micros, stop: Micros) -> bool:
        """Return whether the finer buckets of [start, stop) come from our trades alone and have all begun."""
        return stop <= self.now and not any(
            whole(clip(self.provider.get(finer, ()), start, stop), finer * SECOND_US)
            for finer in BASE
            if finer < resolution
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Buckets of one state, [start, stop); source is what a row in it is called.

    proof: the weakest of what each of them rests on, None if they are not proven.
    """

    start: Micros
    stop: Micros
    state: str
    source: str
    closed: bool
    why: Reason | None = None
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A stretch of one stored series: our candles or the provider's, at a base resolution, in seconds."""

    start: Micros
    stop: Micros
    resolution: int
    from_provider: bool


def runs_of(evidence: Evidence, frame: Timeframe, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs of [start, stop), both starts of buckets: contiguous, without overlap, none left out."""
    runs = base_runs(evidence, frame.base, start, stop)
    if frame.seconds != frame.base:
        runs = fold(runs, frame, start, stop)

    return _joined(runs)


def _joined(runs: Sequence[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and replace(last, start=run.start, stop=run.stop) == run:
            joined[-1] = replace(last, stop=run.stop)
        else:
            joined.append(run)
    return joined


def leaves_of(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> Iterator[Leaf]:
    """Name the stored rows that the buckets of [start, stop) are made of."""
    for run in base_runs(evidence, resolution, start, stop):
        if run.state in (LIVE, PROVIDER):
            yield Leaf(run.start, run.stop, resolution, run.state == PROVIDER)
        elif run.state == FUTURE:
            continue
        elif resolution in FINER and not evidence.only_ours(resolution, run.start, run.stop):
            yield from leaves_of(evidence, FINER[resolution], run.start, run.stop)
        else:
            # A minute, or made of our trades alone: what is stored of it is the roll-up of its minutes, whole or not.
            yield Leaf(run.start, run.stop, resolution, run.source == PROVIDER)


def base_runs(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs of a base resolution."""
    edge = start
    if evidence.watermark is not None:
        length = resolution * SECOND_US
        edge = min(max(evidence.watermark // length * length, start), stop)
    runs = _before_watermark(evidence, resolution, start, edge)
    if edge == stop:
        return runs
    if resolution == MINUTE_S:
        return runs + _minutes_after_watermark(evidence, edge, stop)
    finer = base_runs(evidence, FINER[resolution], edge, stop)
    return runs + fold(finer, BASE[resolution], edge, stop)


def fold(parts: Sequence[Run], frame: Timeframe, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs of a coarser timeframe over contiguous finer ones, at the cost of the parts, not the buckets."""
    runs = []
    index, at = 0, start
    while at < stop:
        while parts[index].stop <= at:
            index += 1
        until = micros_of(frame.floor(moment(min(parts[index].stop, stop))))
        if until > at:
            runs.append(replace(parts[index], start=at, stop=until))
        else:
            until = micros_of(frame.after(moment(at)))
            last = index
            while last < len(parts) and parts[last].start < until:
                last += 1
            runs.append(_bucket_of(parts[index:last], at, until))
        at = until
    return runs


def first_not_final(evidence: Evidence, resolution: int) -> Micros:
    """Return the start of the first bucket for which the provider's answer cannot be final yet."""
    if not evidence.known:
        return 0
    length = resolution * SECOND_US
    age = evidence.candles.resolutions[resolution].cache_age // timedelta(microseconds=1)
    return ((evidence.now - age) // length) * length


def _before_watermark(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> list[Run]:
    if start == stop:
        return []
    live, provider, proven = evidence.proof(resolution, start, stop)
    runs = [Run(*part, PROVIDER, PROVIDER, True, proof=Proof.CANDLE) for part in provider]
    # Each live bucket rests on the strongest proof that holds it whole, stronger ones helping.
    left = live
    for proof, spans in evidence.graded:
        held = [part for each in left for part in whole(clip(spans, *each), resolution * SECOND_US)]
        runs += [Run(*part, LIVE, LIVE, True, proof=proof) for part in held]
        left = subtract(left, held)
    runs += [Run(*part, LIVE, LIVE, True, proof=Proof.CONNECTION) for part in left]

    if resolution in FINER:
        for part in subtract(subtract(proven, live), provider):
            finer = fold(base_runs(evidence, FINER[resolution], *part), BASE[resolution], *part)
            merged = [Run(run.start, run.stop, MERGED, MERGED, True, proof=run.proof) for run in finer]
            runs += _joined(merged)

    if rest := subtract([(start, stop)], proven):
        missing = clip(rest, start, first_not_final(evidence, resolution))
        runs += [Run(*part, MISSING, PARTIAL, True) for part in missing]
        why = NOT_FINAL if evidence.known else NO_TIME
        for part in subtract(rest, missing):
            if resolution == MINUTE_S:
                runs.append(Run(*part, PENDING, PARTIAL, False, why))
                continue
            finer = fold(base_runs(evidence, FINER[resolution], *part), BASE[resolution], *part)
            runs += [Run(run.start, run.stop, PENDING, run.source, False, why) for run in finer]
    return sorted(runs, key=lambda run: run.start)


def _minutes_after_watermark(evidence: Evidence, start: Micros, stop: Micros) -> list[Run]:
    """Return the minutes after the watermark: over, open, future; the provider's where only it has answered."""
    length = MINUTE_S * SECOND_US
    opened = evidence.now // length * length
    now, later = min(max(opened, start), stop), min(max(opened + length, start), stop)
    why = NO_TIME if not evidence.known else BACKLOG if evidence.behind else None
    answered = evidence.proof(MINUTE_S, start, now).provider
    runs = [Run(*part, PENDING, PROVIDER, False, why) for part in answered]
    for low, high in subtract([(start, now)] if start < now else [], answered):
        # Only the first minute, which may hold the watermark, can be known to lack something.
        runs.append(Run(low, low + length, PENDING, _live_source(evidence, low), False, why))
        if low + length < high:
            runs.append(Run(low + length, high, PENDING, LIVE, False, why))
    if now < later:
        runs.append(Run(now, later, OPEN, _live_source(evidence, now), False))
    if later < stop:
        runs.append(Run(later, stop, FUTURE, LIVE, False, NOT_BEGUN))
    return sorted(runs, key=lambda run: run.start)


def _live_source(evidence: Evidence, start: Micros) -> str:
    """Return live where coverage holds the minute's time up to the watermark, else partial."""
    known = evidence.watermark
    if known is None or known <= start:
        return LIVE
    known = min(known, start + MINUTE_S * SECOND_US)
    return LIVE if clip(evidence.live, start, known) == [(start, known)] else PARTIAL


def _bucket_of(parts: Sequence[Run], start: Micros, stop: Micros) -> Run:
    """Return the one bucket made of these parts; a part that has not begun says nothing about it."""
    begun = [part for part in parts if part.state != FUTURE]
    if not begun:
        return replace(parts[0], start=start, stop=stop)
    states = {part.state for part in begun}
    sources = {part.source for part in begun}
    state = next((state for state in (MISSING, PENDING, OPEN, MERGED) if state in states), None)
    source = sources.pop() if len(sources) == 1 else PARTIAL if PARTIAL in sources else MERGED
    why = next((part.why for part in begun if part.state == state and part.why), None)
    closed = len(begun) == len(parts) and all(part.closed for part in begun)
    if state is None:
        state = states.pop() if len(states) == 1 else MERGED
    weakest = None
    if state in PROVEN:
        order = list(Proof)  # the strongest first
        weakest = max((part.proof for part in begun if part.proof), key=order.index, default=None)
    return Run(start, stop, state, source, closed, why, weakest)
