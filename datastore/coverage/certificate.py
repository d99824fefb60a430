"""Which parts of a series are proven, and by what: interval arithmetic over coverage. Pure; times in microseconds.

Time is cut into runs of whole buckets with one state. Before the watermark, the first that holds the whole bucket:
live, provider, merged (hours and days: every bucket of the next finer resolution is one of these), pending (the
provider's answer is not final yet), else a hole. After the watermark: pending (over, but the feed is not known that
far), open (holds the provider's time) and future. Coarser buckets take their state from the finer ones inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property

from datastore.timeframes.intervals import SECOND_US, Interval, clip, micros_of, moment, subtract, union, whole
from datastore.timeframes.timeframe import BASE, DAY_S, HOUR_S, MINUTE_S, Timeframe
from streaming.records import Micros

LIVE, PROVIDER, MERGED, PENDING, OPEN = "live", "provider", "merged", "pending", "open"
PARTIAL, GAP = "partial", "gap"
# Never shown: a hole is a gap where it has no row and partial where it has one; the future is pending.
HOLE, FUTURE = "hole", "future"
PROVEN = frozenset({LIVE, PROVIDER, MERGED})
FINER = {HOUR_S: MINUTE_S, DAY_S: HOUR_S}

NOT_FINAL, NO_TIME, BACKLOG, NOT_BEGUN = "provider not final", "no provider time yet", "backlog", "not begun yet"


@dataclass(frozen=True)
class Evidence:
    """What is known at one instant about one market."""

    now: Micros  # provider's time
    watermark: Micros | None
    known: bool  # some stamp of the provider was seen
    behind: bool  # acknowledged records wait to be stored
    cache_age: Mapping[int, timedelta]  # how old an answer of the provider may be, by resolution
    live: Sequence[Interval] = ()
    provider: Mapping[int, Sequence[Interval]] = field(default_factory=dict)

    @cached_property
    def _whole_live(self) -> dict[int, list[Interval]]:
        return {resolution: whole(self.live, resolution * SECOND_US) for resolution in BASE}

    @cached_property
    def _whole_provider(self) -> dict[int, list[Interval]]:
        return {resolution: whole(self.provider.get(resolution, ()), resolution * SECOND_US) for resolution in BASE}

    def live_buckets(self, resolution: int, start: Micros, stop: Micros) -> list[Interval]:
        """Return the buckets that live coverage holds."""
        return clip(self._whole_live[resolution], start, stop)

    def provider_buckets(self, resolution: int, start: Micros, stop: Micros) -> list[Interval]:
        """Return the buckets that the provider answered for and live coverage does not hold."""
        answered = clip(self._whole_provider[resolution], start, stop)
        return subtract(answered, self.live_buckets(resolution, start, stop))

    def only_ours(self, resolution: int, start: Micros, stop: Micros) -> bool:
        """Tell whether the finer buckets of [start, stop) come from trades alone, all of them begun."""
        finer = [other for other in self._whole_provider if other < resolution]
        return stop <= self.now and not any(clip(self._whole_provider[other], start, stop) for other in finer)

    def proven_buckets(self, resolution: int, start: Micros, stop: Micros) -> list[Interval]:
        """Return the buckets that are held, or made of finer ones that are."""
        held = self.live_buckets(resolution, start, stop) + self.provider_buckets(resolution, start, stop)
        if resolution in FINER:
            held += whole(self.proven_buckets(FINER[resolution], start, stop), resolution * SECOND_US)
        return union(held)


@dataclass(frozen=True, slots=True)
class Run:
    """Buckets of one state, [start, stop); source is what a row in it is called."""

    start: Micros
    stop: Micros
    state: str
    source: str
    closed: bool
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A stretch of one stored series: our candles or the provider's, at a base resolution, in seconds."""

    start: Micros
    stop: Micros
    resolution: int
    from_provider: bool


def runs_of(evidence: Evidence, frame: Timeframe, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs of [start, stop), both starts of buckets: contiguous, without overlap, none left out."""
    base = base_runs(evidence, frame.base, start, stop)
    return join(base if frame.seconds == frame.base else fold(base, frame, start, stop))


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
            # A minute, or one of ours: what is stored of it is the roll-up of its minutes, whole or not.
            yield Leaf(run.start, run.stop, resolution, run.source == PROVIDER)


def base_runs(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs of a base resolution."""
    length = resolution * SECOND_US
    edge = start
    if evidence.watermark is not None:
        edge = min(max(evidence.watermark // length * length, start), stop)
    after = _minutes_after if resolution == MINUTE_S else _folded_after
    return [*_before(evidence, resolution, start, edge), *after(evidence, resolution, edge, stop)]


def fold(parts: Sequence[Run], frame: Timeframe, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs of a coarser timeframe over contiguous finer ones, at the cost of the parts, not the buckets."""
    runs = []
    index, at = 0, start
    while at < stop:
        while parts[index].stop <= at:
            index += 1
        until = _floor(frame, min(parts[index].stop, stop))
        if until > at:
            runs.append(replace(parts[index], start=at, stop=until))
        else:
            until = micros_of(frame.after(moment(at)))
            runs.append(_made_of(list(_inside(parts, index, until)), at, until))
        at = until
    return runs


def join(runs: Iterable[Run]) -> list[Run]:
    """Return the runs with equal neighbours made one."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and replace(last, start=run.start, stop=run.stop) == run:
            joined[-1] = replace(last, stop=run.stop)
        else:
            joined.append(run)
    return joined


def _before(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> list[Run]:
    """Return the runs before the watermark."""
    live = evidence.live_buckets(resolution, start, stop)
    provider = evidence.provider_buckets(resolution, start, stop)
    proven = evidence.proven_buckets(resolution, start, stop)
    rest = subtract([(start, stop)] if start < stop else [], proven)
    due = clip([(awaited_from(evidence, resolution), stop)], start, stop) if start < stop else []
    holes = subtract(rest, due)
    runs = [Run(*part, LIVE, LIVE, True) for part in live]
    runs += [Run(*part, PROVIDER, PROVIDER, True) for part in provider]
    runs += [Run(*part, MERGED, MERGED, True) for part in subtract(subtract(proven, live), provider)]
    runs += [Run(*part, HOLE, PARTIAL, True) for part in holes]
    why = NOT_FINAL if evidence.known else NO_TIME
    for part in subtract(rest, holes):
        runs += [Run(*place, PENDING, source, False, why) for place, source in _sources(evidence, resolution, part)]
    return sorted(runs, key=lambda run: run.start)


def awaited_from(evidence: Evidence, resolution: int) -> Micros:
    """Return the start of the first bucket that the provider cannot have answered for finally."""
    if not evidence.known:
        return 0
    length = resolution * SECOND_US
    age = evidence.cache_age[resolution] // timedelta(microseconds=1)
    return ((evidence.now - age) // length) * length


def _sources(evidence: Evidence, resolution: int, part: Interval) -> list[tuple[Interval, str]]:
    if resolution == MINUTE_S:
        return [(part, PARTIAL)]
    finer = base_runs(evidence, FINER[resolution], *part)
    return [((run.start, run.stop), run.source) for run in fold(finer, BASE[resolution], *part)]


def _minutes_after(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> list[Run]:
    """Return the minutes after the watermark: over, open, future; the provider's where only it has answered."""
    length = resolution * SECOND_US
    now = min(max(evidence.now // length * length, start), stop)
    later = min(max(evidence.now // length * length + length, start), stop)
    why = NO_TIME if not evidence.known else BACKLOG if evidence.behind else None
    runs = []
    answered = evidence.provider_buckets(resolution, start, now)
    for part in answered:
        runs.append(Run(*part, PENDING, PROVIDER, False, why))
    for part in subtract([(start, now)] if start < now else [], answered):
        runs += _over(evidence, part, length, why)
    if now < later:
        runs.append(Run(now, later, OPEN, _live_source(evidence, now), False))
    if later < stop:
        runs.append(Run(later, stop, FUTURE, LIVE, False, NOT_BEGUN))
    return sorted(runs, key=lambda run: run.start)


def _over(evidence: Evidence, part: Interval, length: int, why: str | None) -> list[Run]:
    """Return minutes that are over; only the first, which may hold the watermark, can be known to lack something."""
    start, stop = part
    first = Run(start, start + length, PENDING, _live_source(evidence, start), False, why)
    return [first] if start + length == stop else [first, Run(start + length, stop, PENDING, LIVE, False, why)]


def _live_source(evidence: Evidence, start: Micros) -> str:
    """Return live where coverage holds the minute's time up to the watermark, else partial."""
    known = evidence.watermark
    if known is None or known <= start:
        return LIVE
    known = min(known, start + MINUTE_S * SECOND_US)
    return LIVE if clip(evidence.live, start, known) == [(start, known)] else PARTIAL


def _folded_after(evidence: Evidence, resolution: int, start: Micros, stop: Micros) -> list[Run]:
    if start >= stop:
        return []
    return fold(base_runs(evidence, FINER[resolution], start, stop), BASE[resolution], start, stop)


def _made_of(parts: Sequence[Run], start: Micros, stop: Micros) -> Run:
    """Return the one bucket made of these parts; what has not begun says nothing about it."""
    begun = [part for part in parts if part.state != FUTURE]
    if not begun:
        return replace(parts[0], start=start, stop=stop)
    states = {part.state for part in begun}
    sources = {part.source for part in begun}
    state = next((state for state in (HOLE, PENDING, OPEN, MERGED) if state in states), None)
    source = sources.pop() if len(sources) == 1 else PARTIAL if PARTIAL in sources else MERGED
    why = next((part.why for part in begun if part.state == state and part.why), None)
    closed = len(begun) == len(parts) and all(part.closed for part in begun)
    if state is None:
        state = states.pop() if len(states) == 1 else MERGED
    return Run(start, stop, state, source, closed, why)


def _inside(parts: Sequence[Run], index: int, stop: Micros) -> Iterator[Run]:
    while index < len(parts) and parts[index].start < stop:
        yield parts[index]
        index += 1


def _floor(frame: Timeframe, at: Micros) -> Micros:
    return micros_of(frame.floor(moment(at)))
