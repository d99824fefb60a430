"""The write: one batch of live records, in the caller's transaction.

1. Lock the markets in the order of their ids, and read where their feeds stand.
2. Insert the trades and make the candles they touch anew.
3. Ask whether the replay of a new subscription bridges the time before it.
4. Write positions and spans; raise the version of every market whose answers changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from datastore.db.queries import fetch_all, fetch_while_running, fetch_value
from datastore.ingest.feed_sequence import Applied, FeedSequence, FeedSpan, apply
from datastore.ingest.live_batch import FeedKey, LiveBatch, split_batch
from datastore.ingest.trade_columns import EARLIEST
from datastore.models import Market
from datastore.timeframes.utc_days import split_by_day
from streaming.records import FeedOpened, LiveRecord, Micros

LOCK = "select * from lock_markets(%s::text[], %s::text[], %s::text[], %s)"
INGEST = (
    "select * from ingest(%s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::smallint[], %s::text[], %s::numeric[],"
    " %s::numeric[], %s::bigint[])"
)
BRIDGE = "select bridge_start(%s, instant(%s), instant(%s), %s::jsonb)"
SETTLE = "select * from settle(%s::int[], %s::int[], %s::jsonb, %s::jsonb, %s)"


@dataclass(frozen=True, slots=True)
class MarketChange:
    """What a batch did to one market; changed: its version rose."""

    market: str
    market_id: int
    version: int
    changed: bool
    trades_added: int
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class StoreResult:
    """One change per known market of the batch, and (index, reason) of each record that was not stored."""

    changes: list[MarketChange] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Home:
    """Where the records of a locked market go."""

    market_id: int
    oldest: Micros  # trades before could not be made into whole minutes any more


def store_live(batch: Sequence[LiveRecord] | LiveBatch, meanwhile: Callable[[], None] | None = None) -> StoreResult:
    """Store records of any markets, in the order of the stream; call it inside transaction.atomic().

    meanwhile: called once while the server makes the candles; it must not use this connection.
    """
    ready = batch if isinstance(batch, LiveBatch) else split_batch(batch)
    homes, positions = _lock(set(ready.feeds))
    oldest = {symbol: home.oldest for symbol, home in homes.items()}
    if not ready.matches(oldest):
        ready = split_batch(ready.records, oldest)
    steps: dict[FeedKey, Applied] = {}

    def beside() -> None:
        steps.update({key: apply(positions[key], of_feed) for key, of_feed in ready.feeds.items()})
        if meanwhile is not None:
            meanwhile()

    added = _ingest(ready, homes, beside)
    bridges = {key: _bridges(homes[key[0]].market_id, step.openings) for key, step in steps.items()}
    changes = _settle(homes, positions, steps, bridges, added)
    return StoreResult(changes, ready.refused)


def cancel(market: Market, ts: datetime, trade_id: str) -> bool:
    """Take a trade back, with its minute, hour and day; False where it is not stored."""
    return bool(fetch_value("select cancel(%s, %s, %s)", [market.pk, ts, trade_id]))


def rebuild(market: Market, start: datetime, stop: datetime) -> bool:
    """Make the candles of [start, stop) anew from their trades; True if any came out otherwise than it was stored.

    A day at a time: writers of this market wait for one day at the most, and a hypertable searches one day's chunk.
    """
    done = [fetch_value("select rebuild(%s, %s, %s)", [market.pk, *piece]) for piece in split_by_day(start, stop)]
    return any(done)


def digest(market: Market) -> str:
    """Return one SHA-256 over the text of all candles of all base resolutions."""
    return str(fetch_value("select digest(%s)", [market.pk]))


def _lock(keys: set[FeedKey]) -> tuple[dict[str, _Home], dict[FeedKey, FeedSequence]]:
    if not keys:
        return {}, {}
    symbols, feeds = zip(*keys, strict=True)
    homes: dict[str, _Home] = {}
    positions: dict[FeedKey, FeedSequence] = {}
    retention = timedelta(days=settings.TICK_RETENTION_DAYS)
    rows = fetch_all(LOCK, [sorted(set(symbols)), list(symbols), list(feeds), retention])
    for symbol, market_id, oldest, feed, last_n, *rest in rows:
        homes[symbol] = _Home(market_id, EARLIEST if oldest is None else oldest)
        positions[symbol, feed] = FeedSequence() if last_n is None else FeedSequence(last_n, *rest)
    return homes, positions


def _ingest(ready: LiveBatch, homes: dict[str, _Home], beside: Callable[[], None]) -> dict[int, tuple[int, bool]]:
    """Store the trades, and call beside() meanwhile; return (how many were new, whether a candle changed) by market."""
    if not ready.symbols:
        beside()
        return {}
    ids = [homes[symbol].market_id for symbol in ready.symbols]
    rows = fetch_while_running(INGEST, [ids, *ready.columns], beside)
    return {market_id: (added, changed) for market_id, added, changed in rows}


def _bridges(market_id: int, openings: Sequence[FeedOpened]) -> dict[Micros, Micros | None]:
    """Return, by the start of each opened span, from where on its replay proves the time before it."""
    return {
        opened.start: fetch_value(
            BRIDGE,
            [
                market_id,
                opened.connected,
                opened.start,
                json.dumps([{"ts": trade.ts, "id": trade.id, "seq": trade.seq} for trade in opened.replayed]),
            ],
        )
        for opened in openings
        if opened.replayed
    }


def _settle(
    homes: dict[str, _Home],
    positions: dict[FeedKey, FeedSequence],
    steps: dict[FeedKey, Applied],
    bridges: dict[FeedKey, dict[Micros, Micros | None]],
    added: dict[int, tuple[int, bool]],
) -> list[MarketChange]:
    if not homes:
        return []
    moved: list[dict[str, Any]] = []
    spans: list[dict[str, Any]] = []
    for (symbol, feed), step in steps.items():
        before, known = positions[symbol, feed], bridges[symbol, feed]
        where = {"m": homes[symbol].market_id, "f": feed}
        moved.append(where | _position_row(step.position, before, known))
        spans += [where | _span_row(span) for span in _with_bridges(step.spans, before, known)]
    touched = [market_id for market_id, (_, changed) in added.items() if changed]
    ids = {home.market_id: symbol for symbol, home in homes.items()}
    stale = timedelta(seconds=settings.STALE_AFTER)
    rows = fetch_all(SETTLE, [list(ids), touched, json.dumps(moved), json.dumps(spans), stale])
    return [
        MarketChange(ids[market_id], market_id, version, changed, added.get(market_id, (0, False))[0], watermark)
        for market_id, version, changed, watermark in rows
    ]


def _position_row(at: FeedSequence, before: FeedSequence, known: dict[Micros, Micros | None]) -> dict[str, Any]:
    waiting = at.start is not None and at.stop is None
    bridge = known.get(at.start, before.bridge if at.start == before.start else None) if waiting and at.start else None
    return {
        "n": at.last_n,
        "unbroken": at.unbroken,
        "start": at.start,
        "stop": at.stop,
        "bridge": bridge,
        "reason": at.reason,
    }


def _span_row(span: FeedSpan) -> dict[str, Any]:
    return {"start": span.start, "stop": span.stop, "reason": span.reason}


def _with_bridges(spans: Sequence[FeedSpan], before: FeedSequence, known: dict[Micros, Micros | None]) -> list[FeedSpan]:
    """Return the spans and, in front of each that has just begun, its bridge.

    Only now: its start was set a second ahead, so until the span holds, a claim up to there was not yet true.
    """
    rows = list(spans)
    for span in spans:
        bridge = known.get(span.start)
        if span.start == before.start and before.stop is None:
            bridge = bridge or before.bridge
        if bridge is not None and bridge < span.start:
            rows.append(FeedSpan(bridge, span.start))
    return rows
