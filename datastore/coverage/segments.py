"""The certificate as it is shown: the runs of certificate.py, their rows counted, and gaps with their reasons. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datastore.coverage.certificate import FUTURE, GAP, INCOMPLETE, MISSING, PARTIAL, PENDING, PROVEN, Run
from datastore.coverage.reasons import NEVER_BEGAN, NO_ID_GAPS, NO_TIME, NOT_BEGUN, STALE, IdGaps, Reason
from datastore.reference.traits import Proof
from datastore.timeframes.intervals import Interval, end_of, micros_of, moment
from datastore.timeframes.timeframe import Timeframe
from streaming.records import Micros

MICROS_PER_MS = 1000  # microseconds

Repair = tuple[Micros, Micros, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Segment:
    """Buckets of one state; quiet: those in which provably nothing was traded.

    reason: why they are not proven, for people; code: the kind of reason, one of reasons.ANY_CODE. proof: the weakest
    of what they rest on, None if they are not proven.
    """

    start: datetime
    stop: datetime
    state: str
    quiet: int = 0
    reason: str | None = None
    repair: dict[str, Any] | None = None
    code: str | None = None
    proof: Proof | None = None

    @property
    def incomplete(self) -> bool:
        """Return whether something is missing here for good, unless it is fetched."""
        return self.state in INCOMPLETE


@dataclass(frozen=True, slots=True)
class Ended:
    """How far a live span is proven, and how it ended; None: its end was never recorded."""

    stop: Micros
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one run: how many, their text, and the open times (ms, ascending) of those looked at one by one."""

    count: int
    opens: Sequence[int]
    body: str


NO_ROWS = Rows(0, (), "")


@dataclass(slots=True)
class _Stretch:
    """Buckets that look alike to a reader, and how many rows they hold."""

    start: Micros
    stop: Micros
    state: str
    why: Reason | None
    proof: Proof | None = None
    rows: int = 0


def segments_of(
    runs: Sequence[Run],
    frame: Timeframe,
    rows: Sequence[Rows],
    live: Sequence[Interval],
    ended: Sequence[Ended],
    repairs: Sequence[Repair],
    id_gaps: IdGaps = NO_ID_GAPS,
) -> list[Segment]:
    """Return the segments of contiguous runs, each with its rows; those of missing buckets name their open times.

    What is missing is cut where the provider's final refusals begin and end: a segment is final as a whole or not. Why
    it is missing, or not known finally yet, is told by the ids that are known to be; else by how the feed before ended.
    """
    spans = sorted(ended, key=lambda span: (span.stop, span.reason is not None))
    stops = [span.stop for span in spans]
    segments: list[Segment] = []
    final = [repair for repair in repairs if repair[2]["final"]]
    others = [repair for repair in repairs if not repair[2]["final"]]
    for part in _stretches(runs, frame, rows):
        if part.state in INCOMPLETE:
            last = bisect_right(stops, end_of(live, part.start)) - 1
            why = NEVER_BEGAN if last < 0 else spans[last].reason or STALE
            for start, stop, refusal in _cut_at_final(part, frame, final):
                told = id_gaps.reason(start, stop) or why
                repair = refusal or next((what for low, high, what in others if low < stop and high > start), None)
                segments.append(Segment(moment(start), moment(stop), part.state, 0, told.detail, repair, told.code))
        else:
            buckets = frame.between(moment(part.start), moment(part.stop))
            quiet = buckets - part.rows if part.state in PROVEN else 0
            pending = part.why
            if part.state not in PROVEN and pending not in (NOT_BEGUN, NO_TIME):
                pending = id_gaps.reason(part.start, part.stop) or pending  # known before anything else is
            detail, code = (pending.detail, pending.code) if pending else (None, None)
            segments.append(
                Segment(moment(part.start), moment(part.stop), part.state, quiet, detail, None, code, part.proof)
            )
    return segments


def _stretches(runs: Sequence[Run], frame: Timeframe, rows: Sequence[Rows]) -> list[_Stretch]:
    """Split what is missing into gaps and partial buckets, and join neighbours that look alike."""
    joined: list[_Stretch] = []
    for run, held in zip(runs, rows, strict=True):
        state = PENDING if run.state == FUTURE else run.state
        whole = _Stretch(run.start, run.stop, state, run.why, run.proof, held.count)
        for part in _split(run, frame, held.opens) if run.state == MISSING else [whole]:
            last = joined[-1] if joined else None
            if last and (last.state, last.why, last.proof) == (part.state, part.why, part.proof):
                last.stop, last.rows = part.stop, last.rows + part.rows
            else:
                joined.append(part)
    return joined


def _split(run: Run, frame: Timeframe, opens: Sequence[int]) -> Iterator[_Stretch]:
    """Cut missing buckets into partial ones, which have a row, and the gaps between them."""
    at = run.start
    for row in (ms * MICROS_PER_MS for ms in opens):
        if at < row:
            yield _Stretch(at, row, GAP, None)
        at = micros_of(frame.after(moment(row)))
        yield _Stretch(row, at, PARTIAL, None, rows=1)
    if at < run.stop:
        yield _Stretch(at, run.stop, GAP, None)


def _cut_at_final(
    part: _Stretch, frame: Timeframe, final: Sequence[Repair]
) -> Iterator[tuple[Micros, Micros, dict[str, Any] | None]]:
    """Cut missing buckets into those that hold something that was refused for good, and the others (None)."""
    at = part.start
    for low, high, what in final:
        if low >= part.stop or high <= at:
            continue
        low = max(micros_of(frame.floor(moment(low))), at)
        high = min(micros_of(frame.ceil(moment(high))), part.stop)
        if at < low:
            yield at, low, None
        yield low, high, what
        at = high
    if at < part.stop:
        yield at, part.stop, None
