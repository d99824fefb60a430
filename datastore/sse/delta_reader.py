"""What changed in a series since a cursor, read in one snapshot and merged as for GET candles.

1. Find the stored rows, the feed's and the provider's, that a later version than the cursor's changed, and the rows in
   spans that have been proven since.
2. Add the tail: everything that was not closed at the cursor's watermark, since time alone may have closed it.
3. Read these buckets again. A bucket that has no row now is sent as a tombstone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from datastore.api.params.times import to_ms
from datastore.api.responses.series_body import head_json, segment_json
from datastore.coverage.certificate import MISSING, runs_of
from datastore.coverage.facts import Facts, MarketHead, facts_of, head_of
from datastore.coverage.segments import NO_ROWS, segments_of
from datastore.db.queries import fetch_all, snapshot
from datastore.db.sql_files import statement
from datastore.models import CoverageChange, Market
from datastore.reference.traits import CandleTraits
from datastore.series.reader import MONTH, read_series
from datastore.series.row_format import COLUMNS, EXACT
from datastore.series.stored_rows import rows_of
from datastore.sse.cursor import MAX_CHANGES_BEHIND, TOO_FAR_BEHIND, Cursor, ReadTime, refusal
from datastore.sse.delta import Delta, Gap, Row, merge_near
from datastore.sse.messages import Block, open_times, snapshot_block, tombstone
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import Timeframe

MERGE_WITHIN_BUCKETS = 200  # spans no further apart than this are read as one
MICROS_PER_MS = 1000


@dataclass(frozen=True, slots=True)
class SeriesGone:
    """The changes cannot be sent one by one, and why: the reader gets a snapshot."""

    reason: str
    head: Cursor
    read_at: ReadTime


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of the certificate in ms, the version that changed it, and what changed (CoverageChange.What)."""

    version: int
    what: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Changed:
    """The newest change (version, revision) of buckets by open time in ms, and the changed spans of the certificate."""

    buckets: dict[int, tuple[int, int]]
    spans: list[_Span]


def position_of(head: MarketHead) -> tuple[Cursor, ReadTime]:
    """Return a market's position as a reader's cursor, and when it was read."""
    watermark = None if head.watermark is None else head.watermark // MICROS_PER_MS
    return Cursor(head.series_id, head.version, watermark), ReadTime(head.version, head.watermark or 0, head.now)


def read_position(market: Market) -> tuple[Cursor, ReadTime]:
    """Return a market's position now, as a reader's cursor, and when it was read."""
    return position_of(head_of(market))


def read_delta(market: Market, frame: Timeframe, since: Cursor) -> Delta | SeriesGone:
    """Return what changed since a cursor, or why that cannot be returned."""
    with snapshot():
        known = head_of(market)
        head, read_at = position_of(known)
        if reason := refusal(since, head):
            return SeriesGone(reason, head, read_at)
        changed = _changed(market, frame, since)
        tail = _tail(frame, since, read_at, known.candle_traits)
        if changed is None or tail is None:
            return SeriesGone(TOO_FAR_BEHIND, head, read_at)

        low = min([*changed.buckets, *(span.start for span in changed.spans), tail[0]])
        facts = facts_of(market, frame.base, _floor(frame, low), None)
        head, read_at = position_of(facts.head)
        rows = _rows(market, frame, facts, changed, tail)
        gaps = _gaps(market, frame, facts, changed.spans, since)
        return Delta(since, head, read_at, rows, gaps)


def read_snapshot(market: Market, timeframe: str, limit: int, reason: str | None) -> Block:
    """Return the newest buckets with their certificate; reason: why a reader with a cursor gets a snapshot."""
    series = read_series(market, timeframe, limit=limit)
    upto = Cursor(series.series_id, series.version, to_ms(series.watermark))
    watermark = 0 if series.watermark is None else micros_of(series.watermark)
    read_at = ReadTime(series.version, watermark, micros_of(series.server_time))
    body = msgspec.json.encode(
        {
            "reason": reason,
            **head_json(series),
            "coverage": [segment_json(segment) for segment in series.segments],
            "columns": COLUMNS,
            "candles": msgspec.Raw(f"[{series.text}]".encode()),
        }
    )
    return snapshot_block(read_at, upto, body, series.text.rpartition(EXACT.between)[2])


def _changed(market: Market, frame: Timeframe, since: Cursor) -> _Changed | None:
    """Return what later versions changed; None if it is too much."""
    values = {
        "market": market.pk,
        "since": since.version,
        "base": frame.base,
        "seconds": frame.seconds,
        "most": MAX_CHANGES_BEHIND + 1,
    }
    found = fetch_all(statement("push", "changed"), values)
    if found and found[0][3] > MAX_CHANGES_BEHIND:
        return None
    buckets = {open_ms: (version, revision) for open_ms, version, revision, _ in found}

    spans = [_Span(*row) for row in fetch_all(statement("push", "stretches"), values)]
    proven = [span for span in spans if span.what != CoverageChange.What.GAP]
    lengths = (frame.between(_floor(frame, span.start), _ceil(frame, span.stop)) for span in proven)
    if len(spans) > MAX_CHANGES_BEHIND or sum(lengths) > MAX_CHANGES_BEHIND:
        return None
    for span in proven:
        bounds = {"what": span.what, "start": span.start * MICROS_PER_MS, "stop": span.stop * MICROS_PER_MS}
        for (open_ms,) in fetch_all(statement("push", "held"), values | bounds):
            version, revision = buckets.get(open_ms, (0, 0))
            buckets[open_ms] = (max(version, span.version), revision)
    return _Changed(buckets, spans) if len(buckets) <= MAX_CHANGES_BEHIND else None


def _tail(frame: Timeframe, since: Cursor, read_at: ReadTime, candles: CandleTraits) -> tuple[int, int] | None:
    """Return the span in ms of everything that was not closed at the cursor; None if that is too much.

    A bucket before the watermark is not closed while the provider's answer for it is not final.
    """
    now = moment(read_at.now)
    marks = [] if since.watermark is None else [since.watermark * MICROS_PER_MS, read_at.watermark]
    known = moment(min(marks, default=read_at.now))
    start, stop = frame.floor(candles.final_before(frame.base, known)), frame.after(frame.floor(now))
    return (_ms(start), _ms(stop)) if frame.between(start, stop) <= MAX_CHANGES_BEHIND else None


def _rows(market: Market, frame: Timeframe, facts: Facts, changed: _Changed, tail: tuple[int, int]) -> list[Row]:
    """Return the changed rows and those of the tail as they are now; none of what has not begun."""
    rows: list[Row] = []
    begun = {open_ms for open_ms in changed.buckets if open_ms < tail[1]}
    buckets = [(open_ms, _ms(frame.after(moment(open_ms * MICROS_PER_MS)))) for open_ms in begun]
    length = (timedelta(seconds=frame.seconds) or MONTH) // timedelta(milliseconds=1)

    for start, until in merge_near([*buckets, tail], MERGE_WITHIN_BUCKETS * length):
        runs = runs_of(facts.evidence, frame, start * MICROS_PER_MS, until * MICROS_PER_MS)
        shown: dict[int, str] = {}
        for held in rows_of(market, frame, runs, facts.evidence, EXACT):
            if held.body:
                texts = held.body.split(EXACT.between)
                shown.update(zip(open_times(texts), texts, strict=True))
        for open_ms, text in shown.items():
            if open_ms in begun or open_ms >= tail[0]:
                rows.append(Row(open_ms, text, changed.buckets.get(open_ms, (None,))[0]))

        for open_ms in begun:
            if start <= open_ms < until and open_ms not in shown:
                version, revision = changed.buckets[open_ms]
                run = runs[bisect_right(runs, open_ms * MICROS_PER_MS, key=lambda run: run.start) - 1]
                rows.append(Row(open_ms, tombstone(open_ms, run.source, run.closed, revision), version))
    return rows


def _gaps(market: Market, frame: Timeframe, facts: Facts, spans: Sequence[_Span], since: Cursor) -> list[Gap]:
    """Return the certificate of the changed spans, as far as they precede the watermark."""
    gaps: dict[tuple[int, int], Gap] = {}
    for span in spans:
        # What is beyond the reader's own watermark was never shown to it as a gap.
        edge = facts.head.watermark if span.what == CoverageChange.What.GAP else (since.watermark or 0) * MICROS_PER_MS
        start, stop = _floor(frame, span.start), min(_ceil(frame, span.stop), frame.floor(moment(edge or 0)))
        if start >= stop:
            continue

        evidence = facts.evidence
        found = []
        for run in runs_of(evidence, frame, micros_of(start), micros_of(stop)):
            # Only the rows of a gap are needed: what has been proven may be a year of them.
            (rows,) = rows_of(market, frame, [run], evidence, EXACT) if run.state == MISSING else [NO_ROWS]
            found += segments_of([run], frame, [rows], evidence.live, facts.ended, facts.repairs, facts.id_gaps)
        for segment in found:
            key = _ms(segment.start), _ms(segment.stop)
            shown = {name: value for name, value in segment_json(segment).items() if name != "quiet"}
            gaps[key] = Gap(*key, msgspec.json.encode(shown).decode(), span.version)
    return list(gaps.values())


def _floor(frame: Timeframe, at_ms: int) -> datetime:
    return frame.floor(moment(at_ms * MICROS_PER_MS))


def _ceil(frame: Timeframe, at_ms: int) -> datetime:
    return frame.ceil(moment(at_ms * MICROS_PER_MS))


def _ms(time: datetime) -> int:
    return micros_of(time) // MICROS_PER_MS
