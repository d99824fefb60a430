"""What changed of a series since a cursor, read in one snapshot through the same merge that answers GET candles.

1. Stored rows, ours and the provider's, that changed with a version after the cursor's, and those inside stretches
   that have become proven since.
2. The tail: whatever was not closed at the cursor's watermark, since time alone may have closed it.
3. Read these buckets anew. One that has no row now is told as a tombstone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from datastore.api.params.times import ms
from datastore.api.responses.series_body import COLUMNS, head_json, segment_json
from datastore.coverage.certificate import HOLE, Run, runs_of
from datastore.coverage.facts import Facts, MarketHead, facts_of, head_of
from datastore.coverage.segments import NO_ROWS, Segment, segments_of
from datastore.db.queries import fetch_all, snapshot
from datastore.db.sql_files import statement
from datastore.models import CoverageChange, Market
from datastore.reference.provider import CACHE_AGE
from datastore.series.reader import LONGEST, read_series
from datastore.series.row_format import EXACT
from datastore.series.stored_rows import rows_of
from datastore.sse.cursor import BEHIND, MOST, Cursor, Moment, refusal
from datastore.sse.delta import Delta, Row, joined
from datastore.sse.delta import Hole as HoleChange
from datastore.sse.messages import Block, opens_of, snapshot_block, tombstone
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import Timeframe

NEAR = 200  # buckets: stretches no further apart are read as one
MS = 1000  # microseconds


@dataclass(frozen=True, slots=True)
class SeriesGone:
    """The changes cannot be told one by one, and why: the reader is shown all anew."""

    reason: str
    head: Cursor
    moment: Moment


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the certificate, in ms, that changed with a version."""

    version: int
    what: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Changed:
    """Buckets by their open time in ms, by the newest change (version, revision); stretches of the certificate."""

    buckets: dict[int, tuple[int, int]]
    stretches: list[_Stretch]


def place_of(head: MarketHead) -> tuple[Cursor, Moment]:
    """Return where a market stands, as a reader's cursor and as a moment."""
    watermark = None if head.watermark is None else head.watermark // MS
    return Cursor(head.series_id, head.version, watermark), Moment(head.version, head.watermark or 0, head.now)


def read_place(market: Market) -> tuple[Cursor, Moment]:
    """Return where a market stands now."""
    return place_of(head_of(market))


def read_delta(market: Market, frame: Timeframe, since: Cursor) -> Delta | SeriesGone:
    """Return what a reader at a cursor must be told, or why that cannot be done."""
    with snapshot():
        head, now = read_place(market)
        if reason := refusal(since, head):
            return SeriesGone(reason, head, now)
        changed = _changed(market, frame, since)
        tail = _tail(frame, since, now)
        if changed is None or tail is None:
            return SeriesGone(BEHIND, head, now)
        low = min([*changed.buckets, *(one.start for one in changed.stretches), tail[0]])
        facts = facts_of(market, frame.base, frame.floor(moment(low * MS)), None)
        head, now = place_of(facts.head)
        rows = _rows(market, frame, facts, changed, tail)
        holes = _holes(market, frame, facts, changed.stretches, since)
        return Delta(since, head, now, rows, holes)


def read_snapshot(market: Market, timeframe: str, limit: int, reason: str | None) -> Block:
    """Return the newest buckets with their certificate, and why they are shown although the reader had a cursor."""
    series = read_series(market, timeframe, limit=limit)
    watermark = ms(series.watermark)
    upto = Cursor(series.series_id, series.version, watermark)
    at = Moment(
        series.version,
        0 if series.watermark is None else micros_of(series.watermark),
        micros_of(series.server_time),
    )
    body = msgspec.json.encode(
        {
            "reason": reason,
            **head_json(series),
            "coverage": [segment_json(segment) for segment in series.segments],
            "columns": COLUMNS,
            "candles": msgspec.Raw(f"[{series.text}]".encode()),
        }
    )
    return snapshot_block(at, upto, body)


def _changed(market: Market, frame: Timeframe, since: Cursor) -> _Changed | None:
    """Return what changed by versions; None where it is too much."""
    values = {
        "market": market.pk,
        "since": since.version,
        "base": frame.base,
        "seconds": frame.seconds,
        "most": MOST + 1,
    }
    found = fetch_all(statement("push", "changed"), values)
    if found and found[0][3] > MOST:
        return None
    buckets = {open_ms: (version, revision) for open_ms, version, revision, _ in found}
    stretches = [_Stretch(*row) for row in fetch_all(statement("push", "stretches"), values)]
    gained = [one for one in stretches if one.what != CoverageChange.What.GAP]
    if len(stretches) > MOST or sum(_buckets(frame, one) for one in gained) > MOST:
        return None
    for one in gained:
        for (open_ms,) in _held(values, one):
            version, revision = buckets.get(open_ms, (0, 0))
            buckets[open_ms] = (max(version, one.version), revision)
    return _Changed(buckets, stretches) if len(buckets) <= MOST else None


def _held(values: dict[str, Any], stretch: _Stretch) -> list[Any]:
    bounds = {"start": stretch.start * MS, "stop": stretch.stop * MS}
    return fetch_all(statement("push", "held"), values | bounds)


def _buckets(frame: Timeframe, stretch: _Stretch) -> int:
    return frame.between(frame.floor(moment(stretch.start * MS)), frame.ceil(moment(stretch.stop * MS)))


def _tail(frame: Timeframe, since: Cursor, now: Moment) -> tuple[int, int] | None:
    """Return the stretch (ms) that holds all that was not closed at the cursor; None where that is too much.

    Before the watermark a bucket is not closed while the provider's answer for it is not final.
    """
    stop = frame.after(frame.floor(moment(now.now)))
    known = moment(now.now) if since.watermark is None else moment(since.watermark * MS)
    start = frame.floor(known - CACHE_AGE[frame.base])
    return (_ms(start), _ms(stop)) if frame.between(start, stop) <= MOST else None


def _rows(market: Market, frame: Timeframe, facts: Facts, changed: _Changed, tail: tuple[int, int]) -> list[Row]:
    """Return the changed rows and those of the tail, as they are now; of what has not begun, none."""
    rows: list[Row] = []
    wanted = {at for at in changed.buckets if at < tail[1]}
    parts = [(at, _ms(frame.after(moment(at * MS)))) for at in wanted]
    for start, until in joined([*parts, tail], NEAR * _length(frame)):
        runs = runs_of(facts.evidence, frame, start * MS, until * MS)
        shown = dict(_read(market, frame, facts, runs))
        for open_ms, text in shown.items():
            if open_ms in wanted or open_ms >= tail[0]:
                rows.append(Row(open_ms, text, changed.buckets.get(open_ms, (None,))[0]))
        for open_ms in wanted:
            if start <= open_ms < until and open_ms not in shown:
                version, revision = changed.buckets[open_ms]
                run = _run_at(runs, open_ms)
                rows.append(Row(open_ms, tombstone(open_ms, run.source, run.closed, revision), version))
    return rows


def _read(market: Market, frame: Timeframe, facts: Facts, runs: Sequence[Run]) -> Iterator[tuple[int, str]]:
    for held in rows_of(market, frame, runs, facts.evidence, EXACT):
        if held.body:
            texts = held.body.split(EXACT.between)
            yield from zip(opens_of(texts), texts, strict=True)


def _holes(
    market: Market, frame: Timeframe, facts: Facts, stretches: Sequence[_Stretch], since: Cursor
) -> list[HoleChange]:
    """Return the certificate of the changed stretches, as far as they lie before the watermark."""
    told: dict[tuple[int, int], HoleChange] = {}
    for one in stretches:
        # What lies behind the reader's watermark was never shown to him as a hole.
        edge = facts.head.watermark if one.what == CoverageChange.What.GAP else (since.watermark or 0) * MS
        start, stop = _floor(frame, one.start), min(frame.ceil(moment(one.stop * MS)), frame.floor(moment(edge or 0)))
        if start < stop:
            for segment in _segments(market, frame, facts, start, stop):
                told[_ms(segment.start), _ms(segment.stop)] = _hole(segment, one.version)
    return list(told.values())


def _segments(market: Market, frame: Timeframe, facts: Facts, start: datetime, stop: datetime) -> list[Segment]:
    evidence = facts.evidence
    found = []
    for run in runs_of(evidence, frame, micros_of(start), micros_of(stop)):
        # Only a hole's rows count: what has become proven may be a year of them.
        (rows,) = rows_of(market, frame, [run], evidence, EXACT) if run.state == HOLE else [NO_ROWS]
        found += segments_of([run], frame, [rows], evidence.live, facts.ended, facts.repairs)
    return found


def _hole(segment: Segment, version: int) -> HoleChange:
    told = {name: value for name, value in segment_json(segment).items() if name != "quiet"}
    text = msgspec.json.encode(told).decode()
    return HoleChange(_ms(segment.start), _ms(segment.stop), text, version)


def _run_at(runs: Sequence[Run], open_ms: int) -> Run:
    return runs[bisect_right(runs, open_ms * MS, key=lambda run: run.start) - 1]


def _length(frame: Timeframe) -> int:
    return (timedelta(seconds=frame.seconds) or LONGEST) // timedelta(milliseconds=1)


def _floor(frame: Timeframe, at_ms: int) -> datetime:
    return frame.floor(moment(at_ms * MS))


def _ms(time: datetime) -> int:
    return micros_of(time) // MS
