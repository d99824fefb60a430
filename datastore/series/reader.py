"""The read: one series of history and live trades, with the certificate that says which parts are proven.

1. Read what is known of the market, and the coverage of the range (bounds).
2. Cut the range into runs of one state (certificate.py), and name the stored rows they are made of.
3. Read these rows; what is missing is partial where it has a row and a gap where it has none.
4. Assemble text, segments and totals (series_of).
All in one snapshot, so that rows and certificate describe the same moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from datastore.coverage.certificate import MISSING, PARTIAL, PROVEN, Run, runs_of
from datastore.coverage.completeness import Completeness, completeness_of
from datastore.coverage.facts import Facts, facts_of
from datastore.coverage.segments import NO_ROWS, Rows, Segment, segments_of
from datastore.db.queries import fetch_value, snapshot
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.reference.traits import CandleTraits
from datastore.series.corrections import Corrected, corrected
from datastore.series.fill import NONE, filled
from datastore.series.row_format import EXACT, Shape, close_of
from datastore.series.stored_rows import rows_of
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import TIMEFRAMES, Timeframe

__all__ = ["Row", "Segment", "Series", "read_series", "snapshot"]

# open time in ms, open, high, low, close, volume, quote volume (decimal text), trades, source, closed, revision;
# an invented row may lack its numbers
Row = tuple[int, str | None, str | None, str | None, str | None, str | None, str | None, int | None, str, bool, int]

DEFAULT_BUCKETS = 500
MONTH = timedelta(days=31)  # the longest bucket whose length varies
MAX_CLOSE_LOOKUPS = 5  # stored rows that the series does not show are this rare


@dataclass(frozen=True, slots=True)
class Series:
    """An answer: rows ascending, as text, and segments that cover [start, stop) without overlap."""

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
    candle_traits: CandleTraits  # of the market's provider
    segments: list[Segment]
    text: str  # the rows in the shape that was asked for
    count: int  # of rows that are not invented
    unfinished: list[int]  # open times in ms of shown rows that are not closed and lack something of what is over
    corrected: list[Corrected]  # buckets that changed after they were closed as whole
    complete: bool  # no gap and no partial
    complete_until: datetime  # start of the first bucket that is not closed; stop if all are

    @property
    def completeness(self) -> Completeness:
        """Return how much of the range is there, and what is missing."""
        return completeness_of(self.segments, TIMEFRAMES[self.timeframe])

    @property
    def rows(self) -> list[Row]:
        """Return the rows read back from the text, which must be exact JSON."""
        return msgspec.json.decode(f"[{self.text}]", type=list[Row])


def read_series(
    market: Market,
    timeframe: str,
    start: datetime | None = None,
    stop: datetime | None = None,
    *,
    limit: int | None = None,
    closed_only: bool = False,
    fill: str = NONE,
    raw: bool = False,
    shape: Shape = EXACT,
) -> Series:
    """Return the candles of [start, stop), widened to whole buckets.

    Without stop: up to the end of the open bucket. Without start: `limit` (500) buckets back from stop; with start,
    limit cuts the range. raw: the provider's own prices, which may lie outside of low and high. Inside a caller's
    transaction the caller's isolation holds. Raises DatabaseError.
    """
    frame = TIMEFRAMES[timeframe]
    with snapshot():
        facts, runs = read_runs(market, frame, start, stop, limit, corrections=True)
        rows = shown = rows_of(market, frame, runs, facts.evidence, shape, fill != NONE, raw)
        if fill != NONE:
            shown = filled(runs, rows, frame, shape, fill, lambda: close_before(market, frame, moment(runs[0].start)))
    text = text_of(runs, shown, shape, closed_only)
    return series_of(market, frame, facts, runs, rows, text, corrected(runs, frame, facts.corrections), closed_only)


def read_completeness(market: Market, timeframe: str, start: datetime | None, stop: datetime | None) -> Completeness:
    """Return how much of [start, stop) is there, without reading a candle. Raises DatabaseError."""
    frame = TIMEFRAMES[timeframe]
    return completeness_of_runs(frame, *read_runs(market, frame, start, stop, None))


def completeness_of_runs(frame: Timeframe, facts: Facts, runs: Sequence[Run]) -> Completeness:
    """Return how much of these runs is there; no row is needed to know."""
    no_rows = [NO_ROWS] * len(runs)
    return completeness_of(
        segments_of(runs, frame, no_rows, facts.evidence.live, facts.ended, facts.repairs, facts.id_gaps), frame
    )


def read_certificate(
    market: Market, timeframe: str, start: datetime | None, stop: datetime | None, limit: int | None
) -> Series:
    """Return a series without its rows, as certificate_of() does. Raises DatabaseError."""
    frame = TIMEFRAMES[timeframe]
    with snapshot():
        return certificate_of(market, frame, *read_runs(market, frame, start, stop, limit))


def certificate_of(market: Market, frame: Timeframe, facts: Facts, runs: Sequence[Run]) -> Series:
    """Return the series of these runs without rows: only what may lack trades is looked at, to tell partial from gap.

    So `quiet` of its segments and what was corrected are not known, and `count` is how many buckets may have a row.
    """
    rows = [NO_ROWS] * len(runs)
    if any(run.source == PARTIAL for run in runs):
        rows = rows_of(market, frame, runs, facts.evidence, EXACT, partial_only=True)
    series = series_of(market, frame, facts, runs, rows, "", [])
    proven = sum(frame.between(moment(run.start), moment(run.stop)) for run in runs if run.state in PROVEN)
    return replace(series, count=series.count + proven)


def read_runs(
    market: Market,
    frame: Timeframe,
    start: datetime | None,
    stop: datetime | None,
    limit: int | None,
    corrections: bool = False,
) -> tuple[Facts, list[Run]]:
    """Return what is known of a range, on request also which of its buckets were corrected, and its runs."""
    low, high = bounds(frame, start, stop, limit)
    # Without stop the range lies around the provider's time, which comes with the facts: read somewhat more of them.
    back = (timedelta(seconds=frame.seconds) or MONTH) * ((limit or DEFAULT_BUCKETS) + 2)
    facts = facts_of(market, frame.base, low, high, back, corrections)
    low, high = bounds(frame, start, stop, limit, moment(facts.head.now))
    assert low is not None and high is not None  # noqa: S101 - known once the provider's time is
    return facts, runs_of(facts.evidence, frame, micros_of(low), micros_of(high))


def bounds(
    frame: Timeframe, start: datetime | None, stop: datetime | None, limit: int | None, now: datetime | None = None
) -> tuple[datetime | None, datetime | None]:
    """Return the whole buckets [start, stop) of a range; a bound that depends on the provider's time needs `now`."""
    if stop is not None:
        stop = frame.ceil(stop)
    elif now is not None:
        stop = frame.after(frame.floor(now))
    if start is None:
        return stop and frame.after(stop, -(limit or DEFAULT_BUCKETS)), stop

    start = frame.floor(start)
    if stop is not None:
        stop = max(stop, frame.after(start))
    if limit is not None:
        end = frame.after(start, limit)
        stop = end if stop is None else min(stop, end)
    return start, stop


def text_of(runs: Sequence[Run], rows: Sequence[Rows], shape: Shape, closed_only: bool) -> str:
    """Return all rows as one text."""
    return shape.between.join(
        held.body for run, held in zip(runs, rows, strict=True) if held.body and (run.closed or not closed_only)
    )


def series_of(
    market: Market,
    frame: Timeframe,
    facts: Facts,
    runs: Sequence[Run],
    rows: Sequence[Rows],
    text: str,
    changed: list[Corrected],
    closed_only: bool = False,
) -> Series:
    """Return the series of these runs and their stored rows."""
    head, stop = facts.head, moment(runs[-1].stop)
    shown = [(run, held) for run, held in zip(runs, rows, strict=True) if run.closed or not closed_only]
    return Series(
        market=market.symbol,
        timeframe=frame.name,
        start=moment(runs[0].start),
        stop=stop,
        server_time=moment(head.now),
        watermark=None if head.watermark is None else moment(head.watermark),
        version=head.version,
        series_id=head.series_id,
        provider=head.identity,
        simulated=head.simulated,
        candle_traits=facts.evidence.candles,
        segments=segments_of(runs, frame, rows, facts.evidence.live, facts.ended, facts.repairs, facts.id_gaps),
        text=text,
        count=sum(held.count for _, held in shown),
        unfinished=[at for run, held in shown if not run.closed and run.source == PARTIAL for at in held.opens],
        corrected=changed,
        complete=all(run.state != MISSING for run in runs),
        complete_until=next((moment(run.start) for run in runs if not run.closed), stop),
    )


def close_before(market: Market, frame: Timeframe, start: datetime) -> str | None:
    """Return the close of the series' newest row before a bucket's start, None if there is none.

    The newest stored row is where to look; a series need not show it, so the search may go on from there.
    """
    at = start
    for _ in range(MAX_CLOSE_LOOKUPS):
        values = {"market": market.pk, "resolution": frame.base, "before": at}
        newest = fetch_value(statement("known", "newest_before"), values)
        if newest is None:
            return None
        at = frame.floor(newest)
        facts, runs = read_runs(market, frame, at, start, None)
        if text := text_of(runs, rows_of(market, frame, runs, facts.evidence, EXACT), EXACT, False):
            return close_of(text.rsplit(EXACT.between, 1)[-1])
    return None
