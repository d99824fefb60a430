"""A series of any length, part by part in bounded memory, yet all of it from one snapshot and one certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from datastore.coverage.certificate import MISSING, Run
from datastore.coverage.completeness import Completeness
from datastore.coverage.facts import Facts
from datastore.coverage.segments import Rows
from datastore.db.queries import snapshot
from datastore.models import Market
from datastore.series.corrections import corrected
from datastore.series.fill import NONE, filled
from datastore.series.reader import Series, close_before, completeness_of_runs, read_runs, series_of, text_of
from datastore.series.row_format import Shape, close_of
from datastore.series.stored_rows import rows_of
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import TIMEFRAMES, Timeframe

PART_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be read, and how it is written."""

    market: Market
    timeframe: str
    start: datetime
    stop: datetime | None
    shape: Shape
    fill: str = NONE
    closed_only: bool = False

    @property
    def frame(self) -> Timeframe:
        """Return the timeframe itself."""
        return TIMEFRAMES[self.timeframe]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of some buckets as text, and how many parts of how many there are now."""

    text: str
    number: int
    of: int


class Export:
    """One reading: its parts, in order, and `completeness` from the first of them on.

    After the last one also `series`, which has the certificate of all and no rows.
    """

    series: Series
    completeness: Completeness

    def __init__(self, question: Question) -> None:
        self._question = question
        self._close: str | None = None  # of the newest row so far
        self._looked_before = False

    def parts(self) -> Iterator[Part]:
        """Yield the parts; the snapshot lasts until the last of them. Raises DatabaseError."""
        asked = self._question
        with snapshot():
            facts, runs = read_runs(asked.market, asked.frame, asked.start, asked.stop, None)
            self.completeness = completeness_of_runs(asked.frame, facts, runs)
            slices = list(_slices(runs, asked.frame))
            seen: list[tuple[Run, Rows]] = []
            for number, some in enumerate(slices, 1):
                rows, text = self._read(facts, some)
                for run, held in zip(some, rows, strict=True):
                    # The certificate needs no text and few open times: a year of rows is not kept.
                    seen.append((run, Rows(held.count, held.opens if run.state == MISSING else (), "")))
                yield Part(text, number, len(slices))
            changed = corrected(asked.market, asked.frame, runs)
        self.series = series_of(
            asked.market, asked.frame, facts, [run for run, _ in seen], [held for _, held in seen], "", changed
        )

    def _read(self, facts: Facts, runs: Sequence[Run]) -> tuple[list[Rows], str]:
        """Return the rows of some runs, and with those that fill adds as text."""
        asked = self._question
        rows = shown = rows_of(asked.market, asked.frame, runs, facts.evidence, asked.shape, asked.fill != NONE)
        if asked.fill != NONE:
            shown = filled(runs, rows, asked.frame, asked.shape, asked.fill, self._close_before)
        if last := next((held for held in reversed(rows) if held.count), None):
            self._close = close_of(last.body.rsplit(asked.shape.between, 1)[-1])
        return rows, text_of(runs, shown, asked.shape, asked.closed_only)

    def _close_before(self) -> str | None:
        """Return the close of the newest row so far; before the first one, of the newest before the range."""
        if self._close is None and not self._looked_before:
            frame = self._question.frame
            self._close = close_before(self._question.market, frame, frame.floor(self._question.start))
            self._looked_before = True
        return self._close


def _slices(runs: Sequence[Run], frame: Timeframe) -> Iterator[list[Run]]:
    """Cut the runs into parts of whole buckets."""
    bound, some = micros_of(frame.after(moment(runs[0].start), PART_BUCKETS)), []
    for run in runs:
        while run.stop > bound:
            if run.start < bound:
                some.append(replace(run, stop=bound))
                run = replace(run, start=bound)
            yield some
            some, bound = [], micros_of(frame.after(moment(bound), PART_BUCKETS))
        some.append(run)
    yield some
