"""The certificate as it is shown: runs with their rows counted, and holes named with their reasons. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datastore.certificate import FUTURE, GAP, HOLE, PARTIAL, PENDING, PROVEN, Run
from datastore.intervals import Interval, end_of, micros_of, moment
from datastore.timeframes import Timeframe
from streaming.records import Micros

NEVER_BEGAN, STALE = "before the feed began", "feed stale"
MS = 1000  # microseconds

Repair = tuple[Micros, Micros, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Segment:
    """Buckets of one state; quiet: those in which provably nothing was traded; reason: why they are not proven."""

    start: datetime
    stop: datetime
    state: str
    quiet: int = 0
    reason: str | None = None
    repair: dict[str, Any] | None = None

    @property
    def incomplete(self) -> bool:
        """Tell whether something is missing here for good, unless it is fetched."""
        return self.state in (GAP, PARTIAL)


@dataclass(frozen=True, slots=True)
class Ended:
    """How far a live span is proven, and how it ended; None: nobody said that it did."""

    stop: Micros
    reason: str | None


def segments_of(
    runs: Sequence[Run],
    frame: Timeframe,
    opens: Sequence[int],
    live: Sequence[Interval],
    ended: Sequence[Ended],
    repairs: Sequence[Repair],
) -> list[Segment]:
    """Return the segments of contiguous runs; opens are the rows' open times in milliseconds, ascending."""
    spans = sorted(ended, key=lambda span: (span.stop, span.reason is not None))
    stops = [span.stop for span in spans]
    segments: list[Segment] = []
    for start, stop, state, why in _shown(runs, frame, opens):
        if state in (GAP, PARTIAL):
            last = bisect_right(stops, end_of(live, start)) - 1
            why = NEVER_BEGAN if last < 0 else spans[last].reason or STALE
        rows = _count(opens, start, stop)
        quiet = frame.between(moment(start), moment(stop)) - rows if state in PROVEN else 0
        segments.append(Segment(moment(start), moment(stop), state, quiet, why, _repair(repairs, start, stop, state)))
    return segments


def _shown(
    runs: Sequence[Run], frame: Timeframe, opens: Sequence[int]
) -> Iterator[tuple[Micros, Micros, str, str | None]]:
    """Split holes into gaps and partial buckets, and join neighbours that look alike to a reader."""
    held: tuple[Micros, Micros, str, str | None] | None = None
    for run in runs:
        state = PENDING if run.state == FUTURE else run.state
        parts = _split(run, frame, opens) if run.state == HOLE else [(run.start, run.stop, state, run.why)]
        for part in parts:
            if held and held[2:] == part[2:]:
                held = (held[0], *part[1:])
                continue
            if held:
                yield held
            held = part
    if held:
        yield held


def _split(run: Run, frame: Timeframe, opens: Sequence[int]) -> Iterator[tuple[Micros, Micros, str, str | None]]:
    """Cut a hole into partial buckets, which have a row, and the gaps between them."""
    at = run.start
    for index in range(bisect_left(opens, run.start // MS), bisect_left(opens, run.stop // MS)):
        row = opens[index] * MS
        if at < row:
            yield at, row, GAP, None
        at = micros_of(frame.after(moment(row)))
        yield row, at, PARTIAL, None
    if at < run.stop:
        yield at, run.stop, GAP, None


def _count(opens: Sequence[int], start: Micros, stop: Micros) -> int:
    return bisect_left(opens, stop // MS) - bisect_left(opens, start // MS)


def _repair(repairs: Sequence[Repair], start: Micros, stop: Micros, state: str) -> dict[str, Any] | None:
    if state not in (GAP, PARTIAL):
        return None
    return next((what for low, high, what in repairs if low < stop and high > start), None)
