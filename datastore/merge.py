"""The read: one series of history and live trades, with the certificate that says which parts are proven.

1. Read what is known of the market, and the coverage of the range.
2. Cut the range into runs of one state (certificate.py), and name the stored rows they are made of.
3. Read these rows; a hole is partial where it has one and a gap where it has none.
All in one snapshot, so that rows and certificate speak of the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from datastore.certificate import Evidence, Leaf, Run, leaves_of, runs_of
from datastore.evidence import evidence_of, head_of
from datastore.intervals import micros_of, moment
from datastore.models import Market
from datastore.queries import execute, fetch_all
from datastore.segments import Repair, Segment, segments_of
from datastore.statements import statement
from datastore.timeframes import TIMEFRAMES, Timeframe

__all__ = ["Row", "Segment", "Series", "read_series", "snapshot"]

# open time in ms, open, high, low, close, volume, quote volume (decimal text), trades, source, closed, revision
Row = tuple[int, str, str, str, str, str, str, int | None, str, bool, int]

DEFAULT_BUCKETS = 500
LEAVES = "%s::bigint[], %s::bigint[], %s::int[], %s::boolean[], %s::text[], %s::boolean[])"
ROWS = f"select * from series_rows(%s, {LEAVES}"  # noqa: S608 - a constant of this file
BUCKETS = f"select * from series_buckets(%s, %s, {LEAVES}"  # noqa: S608 - a constant of this file


@dataclass(frozen=True, slots=True)
class Series:
    """An answer: rows ascending, and segments that cover [start, stop) without overlap."""

    market: str
    timeframe: str
    start: datetime
    stop: datetime
    server_time: datetime  # the provider's time
    watermark: datetime | None
    version: int
    series_id: str
    provider: str
    simulated: bool
    segments: list[Segment]
    rows: list[Row]
    complete: bool  # no gap and no partial
    complete_until: datetime  # start of the first bucket that is not closed, stop where all are


def read_series(
    market: Market,
    timeframe: str,
    start: datetime | None = None,
    stop: datetime | None = None,
    *,
    limit: int | None = None,
    closed_only: bool = False,
) -> Series:
    """Return the candles of [start, stop), widened to whole buckets.

    Without stop: up to the end of the open bucket. Without start: `limit` (500) buckets back from stop; with start,
    limit cuts the range. Inside a caller's transaction the caller's isolation holds.
    """
    frame = TIMEFRAMES[timeframe]
    with snapshot():
        head = head_of(market)
        start, stop = _range(frame, moment(head.now), start, stop, limit)
        evidence, ended = evidence_of(market, head, frame.base, start, stop)
        runs = runs_of(evidence, frame, micros_of(start), micros_of(stop))
        rows = _rows(market, frame, runs, evidence)
        repairs = _repairs(market, frame, start, stop)
    segments = segments_of(runs, frame, [row[0] for row in rows], evidence.live, ended, repairs)
    return Series(
        market=market.symbol,
        timeframe=timeframe,
        start=start,
        stop=stop,
        server_time=moment(head.now),
        watermark=None if head.watermark is None else moment(head.watermark),
        version=head.version,
        series_id=head.series_id,
        provider=head.provider,
        simulated=head.simulated,
        segments=segments,
        rows=[row for row in rows if row[9]] if closed_only else rows,
        complete=not any(segment.incomplete for segment in segments),
        complete_until=next((moment(run.start) for run in runs if not run.closed), stop),
    )


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all reads of the block speak of one moment; inside a caller's transaction the caller's isolation holds."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        execute("set transaction isolation level repeatable read, read only")
        yield


def _range(
    frame: Timeframe, now: datetime, start: datetime | None, stop: datetime | None, limit: int | None
) -> tuple[datetime, datetime]:
    stop = frame.after(frame.floor(now)) if stop is None else frame.ceil(stop)
    if start is None:
        return frame.after(stop, -(limit or DEFAULT_BUCKETS)), stop
    start = frame.floor(start)
    stop = max(stop, frame.after(start))
    return start, stop if limit is None else min(stop, frame.after(start, limit))


def _rows(market: Market, frame: Timeframe, runs: Sequence[Run], evidence: Evidence) -> list[Row]:
    """Return the rows of the runs: stored ones as they are, finer ones aggregated."""
    stored: list[tuple[Leaf, Run]] = []
    finer: list[tuple[Leaf, Run]] = []
    for leaf, run in _labelled(leaves_of(evidence, frame.base, runs[0].start, runs[-1].stop), runs):
        (stored if leaf.resolution == frame.seconds else finer).append((leaf, run))
    rows: list[Row] = fetch_all(ROWS, [market.pk, *_columns(stored)]) if stored else []
    if not finer:
        return rows
    made: list[Row] = fetch_all(BUCKETS, [market.pk, frame.seconds, *_columns(finer)])
    return sorted(rows + made) if rows else made


def _labelled(leaves: Iterator[Leaf], runs: Sequence[Run]) -> Iterator[tuple[Leaf, Run]]:
    """Cut leaves where runs meet, so that each part belongs to one run."""
    index = 0
    for leaf in leaves:
        at = leaf.start
        while at < leaf.stop:
            while runs[index].stop <= at:
                index += 1
            until = min(leaf.stop, runs[index].stop)
            yield Leaf(at, until, leaf.resolution, leaf.from_provider), runs[index]
            at = until


def _columns(labelled: Sequence[tuple[Leaf, Run]]) -> list[list[Any]]:
    return [
        [leaf.start for leaf, _ in labelled],
        [leaf.stop for leaf, _ in labelled],
        [leaf.resolution for leaf, _ in labelled],
        [leaf.from_provider for leaf, _ in labelled],
        [run.source for _, run in labelled],
        [run.closed for _, run in labelled],
    ]


def _repairs(market: Market, frame: Timeframe, start: datetime, stop: datetime) -> list[Repair]:
    """Return (start, stop, what is done about it) of the holes that are being repaired."""
    values = {"market": market.pk, "resolution": frame.base, "start": start, "stop": stop}
    return [
        (
            low,
            high,
            {"reason": reason, "attempts": attempts, "next_try": next_try and next_try.isoformat(), "final": final},
        )
        for low, high, reason, attempts, next_try, final in fetch_all(statement("known", "repairs"), values)
    ]
