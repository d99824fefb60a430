"""The write: one batch of live records, in the caller's transaction.

1. Lock the markets in the order of their ids, and read the positions of their feeds. Where the venue counts its trades,
   leave out those whose ids are stored already (id_write.py).
2. Insert the trades and recompute the candles they touch; look at those whose id was known (trade_conflicts.py).
3. Ask whether the replay of a new subscription bridges the time before it.
4. Where the venue counts, store the ids and derive from them alone what is proven.
5. Write positions and, elsewhere, the spans of the feeds; raise the version of every market whose answers changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings

from datastore.db.queries import fetch_all, fetch_value, fetch_while_running
from datastore.ingest.bridges import find_bridges, with_bridges
from datastore.ingest.feed_sequence import Applied, FeedSequence, TakenBack, apply
from datastore.ingest.id_write import note_ends, sort_counted, store_counted
from datastore.ingest.live_batch import FeedKey, LiveBatch, split_batch
from datastore.ingest.trade_columns import quoted_array
from datastore.ingest.trade_conflicts import GivenTrade, arguments_of, find_conflicts
from datastore.models import Market
from datastore.reference.provider_registry import traits_of
from datastore.reference.staleness import stale_after
from datastore.reference.traits import Proof
from datastore.timeframes.intervals import SECOND_US
from datastore.timeframes.utc_days import split_by_day
from streaming.bounds import MIN_TIME_US
from streaming.ends import EndCode
from streaming.records import LiveRecord, Micros
from streaming.refusals import Refusal

LOCK = "select * from lock_markets(%s::text[], %s::text[], %s::text[], %s)"
INGEST = (
    "select * from ingest(%s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::smallint[], %s::text[], %s::numeric[],"
    " %s::numeric[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])"
)
TAKE_BACK_AT = "select take_back_at(%s, instant(%s), %s, %s, %s)"
SETTLE = "select * from settle(%s::int[], %s::int[], %s::jsonb, %s::jsonb, %s::jsonb, %s)"
NUMBERED_FEED = "seq/"  # before the name of the feed whose numbers prove a part of its spans


@dataclass(frozen=True, slots=True)
class MarketChange:
    """What a batch did to one market; changed: its version was raised."""

    market: str
    market_id: int
    version: int
    changed: bool
    trades_added: int
    taken_back_s: float = 0  # how much proven time is no longer claimed
    ids_shared: int = 0  # trades stored under their number, since their id was another trade's
    ended: tuple[str, ...] = ()  # code of each span that ended
    candles_widened: int = 0  # of the provider's: they close outside their range, so they are served otherwise


@dataclass(frozen=True, slots=True)
class StoreResult:
    """One change per known market of the batch, and (index, why) of each record that was not stored."""

    changes: list[MarketChange] = field(default_factory=list)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ingested:
    """What the trades of a batch did to one market."""

    added: int = 0  # trades that were not stored before
    changed: bool = False  # an answer differs
    taken_back_s: float = 0  # that the provider had called quiet
    ids_shared: int = 0

    def __add__(self, other: _Ingested) -> _Ingested:
        return _Ingested(
            self.added + other.added,
            self.changed or other.changed,
            self.taken_back_s + other.taken_back_s,
            self.ids_shared + other.ids_shared,
        )


NOTHING_INGESTED = _Ingested()


@dataclass(frozen=True, slots=True)
class _LockedMarket:
    """A market of the batch, locked for the write."""

    market_id: int
    oldest: Micros  # earlier trades could not be made into whole minutes any more
    counts_ids: bool  # its provider's ids alone prove anything live


def store_live(batch: Sequence[LiveRecord] | LiveBatch, work: Callable[[], None] | None = None) -> StoreResult:
    """Store records of any markets, in the order of the stream; call it inside transaction.atomic().

    work: called once, while the server computes the candles; it must not use this connection.
    """
    ready = batch if isinstance(batch, LiveBatch) else split_batch(batch)
    markets, positions = _lock(set(ready.feeds))
    oldest = {symbol: market.oldest for symbol, market in markets.items()}
    if not ready.matches(oldest):
        ready = split_batch(ready.records, oldest)
    counting = {symbol: market.market_id for symbol, market in markets.items() if market.counts_ids}
    counted = sort_counted(ready, counting)

    steps: dict[FeedKey, Applied] = {}
    late = round(settings.GRACE * SECOND_US) + SECOND_US  # a second, for times are often whole seconds

    def apply_feeds() -> None:
        steps.update({key: apply(positions[key], of_feed, late=late) for key, of_feed in ready.feeds.items()})
        if work is not None:
            work()

    ingested: dict[int, _Ingested] = {}  # by market
    if ready.symbols:
        ids = [markets[symbol].market_id for symbol in ready.symbols]
        rows = fetch_while_running(INGEST, [ids, *ready.columns, ready.since], apply_feeds)
        ingested = {market_id: _Ingested(*found) for market_id, *found in rows}
        if sum(of_trades.added for of_trades in ingested.values()) < len(ready.stored):
            again, doubts = _settle_conflicts(ready, markets, ingested, steps)
            for key in again:
                steps[key] = apply(positions[key], ready.feeds[key], late=late, doubt=doubts.get(key[0]))
    else:
        apply_feeds()

    if counting:
        for market_id, proven in store_counted(counted, {index for index, _ in ready.refused}).items():
            more = _Ingested(changed=proven.shows, taken_back_s=proven.lost_s)
            ingested[market_id] = ingested.get(market_id, NOTHING_INGESTED) + more
        note_ends(steps, counting)
    feeds = {key: step for key, step in steps.items() if key[0] not in counting}
    bridges = {key: find_bridges(markets[key[0]].market_id, step.openings) for key, step in feeds.items()}
    changes = _settle(markets, positions, steps, bridges, ingested)
    return StoreResult(changes, ready.refused)


def cancel(market: Market, ts: datetime, trade_id: str) -> bool:
    """Remove a trade and recompute its minute, hour and day; False if it is not stored."""
    return bool(fetch_value("select cancel(%s, %s, %s, %s)", [market.pk, ts, trade_id, stale_after()]))


def rebuild(market: Market, start: datetime, stop: datetime) -> bool:
    """Recompute the candles of [start, stop) from their trades; return whether any differs from what was stored.

    A day at a time: writers of this market wait for one day at most, and a hypertable searches one day's chunk.
    """
    days = split_by_day(start, stop)
    changed = [fetch_value("select rebuild(%s, %s, %s)", [market.pk, *day]) for day in days]
    return any(changed)


def digest(market: Market) -> str:
    """Return one SHA-256 over the text of all candles of all base resolutions."""
    return str(fetch_value("select digest(%s)", [market.pk]))


def _lock(keys: set[FeedKey]) -> tuple[dict[str, _LockedMarket], dict[FeedKey, FeedSequence]]:
    """Lock the markets; return those that are known, by symbol, and the positions of their feeds."""
    if not keys:
        return {}, {}
    symbols, feeds = zip(*keys, strict=True)
    markets: dict[str, _LockedMarket] = {}
    positions: dict[FeedKey, FeedSequence] = {}
    retention = timedelta(days=settings.TICK_RETENTION_DAYS)
    rows = fetch_all(LOCK, [*map(quoted_array, (sorted(set(symbols)), symbols, feeds)), retention])
    counting: dict[str | None, bool] = {}  # whether a provider's ids alone prove anything live
    for symbol, market_id, oldest, feed, last_n, *rest, numbers, provider in rows:
        if (counts_ids := counting.get(provider)) is None:
            counts_ids = counting[provider] = Proof.IDS in traits_of(provider).proofs
        markets[symbol] = _LockedMarket(market_id, MIN_TIME_US if oldest is None else oldest, counts_ids)
        run = None if numbers is None else msgspec.json.decode(numbers)
        positions[symbol, feed] = FeedSequence() if last_n is None else FeedSequence._make([last_n, *rest, run])
    return markets, positions


def _settle_conflicts(
    batch: LiveBatch,
    markets: dict[str, _LockedMarket],
    ingested: dict[int, _Ingested],
    steps: Mapping[FeedKey, Applied],
) -> tuple[set[FeedKey], dict[str, TakenBack]]:
    """Store or refuse the trades whose id is another trade's; return the feeds to apply again, and why by market.

    These are the feeds that carried refused ones, and every feed that had claimed the time of such a trade.
    """
    given = [GivenTrade(at, markets[trade.market].market_id, trade) for at, trade in batch.stored.items()]
    renamed, refused = find_conflicts(given)
    if renamed:
        for market_id, *found in fetch_all(INGEST, [*arguments_of(renamed), None]):
            more = _Ingested(*found)
            ingested[market_id] = ingested.get(market_id, NOTHING_INGESTED) + replace(more, ids_shared=more.added)
        again = find_conflicts(renamed)
        refused |= again.refused
    doubts: dict[str, TakenBack] = {}
    for index, refusal in sorted(refused.items(), key=lambda item: -batch.stored[item[0]].ts):  # the earliest counts
        trade = batch.stored[index]
        why = (refusal.detail, EndCode.CONFLICT)
        claimed = [span for key, step in steps.items() if key[0] == trade.market for span in step.spans]
        taken = fetch_value(TAKE_BACK_AT, [markets[trade.market].market_id, trade.ts, *why, stale_after()])
        if taken or any(span.start <= trade.ts < span.stop for span in claimed):
            doubts[trade.market] = TakenBack(trade.ts, *why)
    return batch.refuse(refused) | {key for key in steps if key[0] in doubts}, doubts


def _settle(
    markets: dict[str, _LockedMarket],
    positions: dict[FeedKey, FeedSequence],
    steps: dict[FeedKey, Applied],
    bridges: dict[FeedKey, dict[Micros, Micros | None]],
    ingested: dict[int, _Ingested],
) -> list[MarketChange]:
    if not markets:
        return []
    moved: list[dict[str, Any]] = []
    spans: list[dict[str, Any]] = []
    taken_back: list[dict[str, Any]] = []
    ended: dict[str, list[str]] = {symbol: [] for symbol in markets}
    for (symbol, feed), step in steps.items():
        before, bridged = positions[symbol, feed], bridges.get((symbol, feed), {})
        row = {"m": markets[symbol].market_id, "f": feed}
        moved.append(row | _position_row(step.position, before, bridged))
        ended[symbol] += [span.code or EndCode.OTHER for span in step.spans if span.reason is not None]
        if markets[symbol].counts_ids:
            continue  # a connection may have dropped a trade without a word: only the ids tell
        for span in with_bridges(step.spans, before, bridged):
            spans.append(row | {"start": span.start, "stop": span.stop, "reason": span.reason, "code": span.code})
        spans += [
            row | {"f": NUMBERED_FEED + feed, "start": low, "stop": high, "proof": Proof.SEQUENCE}
            for low, high in step.numbered
        ]
        if step.taken_back is not None:
            taken_back.append(row | step.taken_back._asdict())

    touched = [market_id for market_id, of_trades in ingested.items() if of_trades.changed]
    symbols = {market.market_id: symbol for symbol, market in markets.items()}
    stale = stale_after()
    feeds = [msgspec.json.encode(each).decode() for each in (moved, taken_back, spans)]
    rows = fetch_all(SETTLE, [list(symbols), touched, *feeds, stale])
    changes = []
    for market_id, version, changed, lost_s in rows:
        of_trades = ingested.get(market_id, NOTHING_INGESTED)
        taken_back_s = lost_s + of_trades.taken_back_s
        symbol = symbols[market_id]
        added, shared = of_trades.added, of_trades.ids_shared
        changes.append(
            MarketChange(symbol, market_id, version, changed, added, taken_back_s, shared, tuple(ended[symbol]))
        )
    return changes


def _position_row(at: FeedSequence, before: FeedSequence, bridged: dict[Micros, Micros | None]) -> dict[str, Any]:
    unproven = at.start is not None and at.stop is None
    inherited = before.bridge if at.start == before.start else None
    return {
        "n": at.last_n,
        "unbroken": at.unbroken,
        "start": at.start,
        "stop": at.stop,
        "bridge": bridged.get(at.start, inherited) if unproven and at.start else None,
        "reason": at.reason,
        "numbers": at.numbers,
    }
