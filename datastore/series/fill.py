"""Invented rows, on request: a regular grid for those who need one. They exist in answers only.

`null`: every bucket without a row gets one without numbers. `flat`: a quiet bucket, in which provably nothing was
traded, gets the close before it and volume 0; of a hole, or of what is not known yet, nothing is guessed, so there the
row has no numbers either. A bucket that has not begun gets none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from datastore.coverage.certificate import FUTURE, PROVEN, Run
from datastore.coverage.segments import Rows
from datastore.series.row_format import Shape, close_of
from datastore.timeframes.intervals import SECOND_US, micros_of, moment
from datastore.timeframes.timeframe import Timeframe

NONE, NULL, FLAT = "none", "null", "flat"
FILLS = (NONE, NULL, FLAT)


def filled(
    runs: Sequence[Run],
    rows: Sequence[Rows],
    frame: Timeframe,
    shape: Shape,
    how: str,
    before: Callable[[], str | None],
) -> list[Rows]:
    """Return the rows of each run with those of its empty buckets among them; rows know all their open times.

    before() is asked for the close before the first run, at most once and only where it may be needed.
    """
    close: str | None = None
    asked = False
    whole = []
    for run, held in zip(runs, rows, strict=True):
        if run.state != FUTURE and held.count < frame.between(moment(run.start), moment(run.stop)):
            flat = how == FLAT and run.state in PROVEN
            if flat and close is None and not asked:
                close, asked = before(), True
            whole.append(replace(held, body=shape.between.join(_grid(run, held, frame, shape, close, flat))))
        else:
            whole.append(held)
        close = close_of(held.body.rsplit(shape.between, 1)[-1]) if held.count else close
    return whole


def _grid(run: Run, held: Rows, frame: Timeframe, shape: Shape, close: str | None, flat: bool) -> Iterator[str]:
    stored = dict(zip(held.opens, held.body.split(shape.between), strict=True)) if held.count else {}
    for seconds in _opens(run, frame):
        row = stored.get(seconds * 1000)
        if row is None:
            if flat and close is not None:
                row = shape.flat(seconds, close, run.closed)
            else:
                row = shape.unknown(seconds, run.closed)
        elif flat:
            close = close_of(row)
        yield row


def _opens(run: Run, frame: Timeframe) -> Iterator[int]:
    """Yield the open times of a run's buckets in seconds."""
    if frame.seconds:
        yield from range(run.start // SECOND_US, run.stop // SECOND_US, frame.seconds)
        return
    at, stop = moment(run.start), moment(run.stop)
    while at < stop:
        yield micros_of(at) // SECOND_US
        at = frame.after(at)
