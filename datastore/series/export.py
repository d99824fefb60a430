"""A series of any length, part by part in bounded memory, yet all of it from one snapshot and one certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from datastore.coverage.certificate import MISSING, PARTIAL, Run
from datastore.coverage.facts import Facts
from datastore.coverage.segments import Rows
from datastore.db.queries import execute, snapshot
from datastore.models import Market
from datastore.series.corrections import corrected
from datastore.series.digits import Digits, digits_of
from datastore.series.fill import NONE, filled
from datastore.series.reader import Series, certificate_of, close_before, read_runs, series_of, text_of
from datastore.series.row_format import CSV, Shape, close_of
from datastore.series.stored_rows import rows_of, single_leaf, stretch_texts
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import TIMEFRAMES, Timeframe

FIRST_PART_BUCKETS, PART_BUCKETS = 2_000, 20_000  # the first one is short, so that a reader waits for little


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be read; limit counts buckets, as in read_series."""

    market: Market
    timeframe: str
    start: datetime | None
    stop: datetime | None
    limit: int | None = None
    fill: str = NONE
    closed_only: bool = False
    raw: bool = False
    shape: Shape = CSV  # rows without a line break in them

    @property
    def frame(self) -> Timeframe:
        """Return the timeframe itself."""
        return TIMEFRAMES[self.timeframe]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of some buckets as lines of the shape, and how many parts of how many there are now.

    The blocks come from the server while they are iterated: all of them, before the next part is asked for.
    """

    blocks: Iterator[bytes]
    number: int
    of: int


class Export:
    """One reading: its parts, in order, and `certificate` from the first of them on, a series without rows.

    After the last one also `series`: the same, with the number of rows and of quiet buckets. `part` is the newest part,
    `rows` the number of rows so far, invented ones among them.
    """

    certificate: Series
    series: Series
    part: Part
    rows = 0

    def __init__(self, question: Question, max_idle_s: int = 0) -> None:
        """max_idle_s: how long the reader may take for one part before the snapshot ends; 0: however long."""
        self._question = question
        self._max_idle_s = max_idle_s
        self._close: str | None = None  # of the newest row so far
        self._looked_before = False
        self._seen: list[tuple[Run, Rows]] = []

    @property
    def frame(self) -> Timeframe:
        """Return the timeframe."""
        return self._question.frame

    def parts(self) -> Iterator[Part]:
        """Yield the parts; the snapshot lasts until the last of them. Raises DatabaseError."""
        asked = self._question
        with snapshot(self._max_idle_s):
            # A part is read along the key, in order: to gather its pages first and to sort its rows costs half again.
            execute("set local enable_bitmapscan = off")
            facts, runs = read_runs(asked.market, asked.frame, asked.start, asked.stop, asked.limit, corrections=True)
            self.certificate = certificate_of(asked.market, asked.frame, facts, runs)
            slices = list(_slices(runs, asked.frame))
            for number, some in enumerate(slices, 1):
                self.part = Part(self._blocks(facts, some), number, len(slices))
                yield self.part
        changed = corrected(runs, asked.frame, facts.corrections)
        runs, rows = [run for run, _ in self._seen], [held for _, held in self._seen]
        self.series = series_of(asked.market, asked.frame, facts, runs, rows, "", changed)

    def digits(self) -> Digits:
        """Return how many digits the market's numbers have; between two parts. Raises DatabaseError."""
        return digits_of(self._question.market.pk, self.certificate.series_id, self.certificate.version)

    def _blocks(self, facts: Facts, runs: Sequence[Run]) -> Iterator[bytes]:
        """Yield the rows of some runs: many at a time if they are one stretch of stored rows, else read as for json."""
        asked = self._question
        leaf = None
        if len(runs) == 1 and runs[0].source != PARTIAL and asked.fill == NONE:
            leaf = single_leaf(asked.frame, runs[0], facts.evidence)
        if leaf:
            count = 0
            if runs[0].closed or not asked.closed_only:
                for some, lines in stretch_texts(asked.market, runs[0], leaf, asked.shape, asked.raw):
                    count += some
                    yield lines + b"\n"
                self.rows += count
            self._seen.append((runs[0], Rows(count, (), "")))
            return

        shape = asked.shape
        rows = shown = rows_of(asked.market, asked.frame, runs, facts.evidence, shape, asked.fill != NONE, asked.raw)
        if asked.fill != NONE:
            shown = filled(runs, rows, asked.frame, shape, asked.fill, self._close_before)
        if last := next((held for held in reversed(rows) if held.count), None):
            self._close = close_of(last.body.rsplit(shape.between, 1)[-1])
        for run, held in zip(runs, rows, strict=True):
            # The certificate needs no text and few open times: a year of rows is not kept.
            self._seen.append((run, Rows(held.count, held.opens if run.state == MISSING else (), "")))
        if text := text_of(runs, shown, shape, asked.closed_only):
            self.rows += text.count(shape.between) + 1
            yield text.encode() + b"\n"

    def _close_before(self) -> str | None:
        """Return the close of the newest row so far; before the first one, of the newest before the range."""
        if self._close is None and not self._looked_before:
            frame = self._question.frame
            self._close = close_before(self._question.market, frame, self.certificate.start)
            self._looked_before = True
        return self._close


def _slices(runs: Sequence[Run], frame: Timeframe) -> Iterator[list[Run]]:
    """Cut the runs into parts of whole buckets; a run that fills a part by itself begins one."""
    bound = micros_of(frame.after(moment(runs[0].start), FIRST_PART_BUCKETS))
    some: list[Run] = []
    for run in runs:
        if some and frame.between(moment(run.start), moment(run.stop)) > PART_BUCKETS:
            yield some
            some, bound = [], micros_of(frame.after(moment(run.start), PART_BUCKETS))
        while run.stop > bound:
            if run.start < bound:
                some.append(replace(run, stop=bound))
                run = replace(run, start=bound)
            yield some
            some, bound = [], micros_of(frame.after(moment(bound), PART_BUCKETS))
        some.append(run)
    yield some
