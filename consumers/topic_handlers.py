"""What each fixed topic carries: how its records are read, and where they are stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from consumers.metrics import Receipts
from consumers.missing_trades import MissingTrades
from consumers.record_batch import Batch, read_batch
from datastore.backfill.history_write import settle_published, store_history
from datastore.backfill.trade_fill import settle_fills
from datastore.backfill.unsettled import Unsettled, unsettled
from datastore.coverage.feed_progress import note_read
from datastore.ingest.live_batch import LiveBatch, split_batch
from datastore.ingest.live_write import MarketChange, StoreResult, store_live
from streaming.broker import Record
from streaming.history_records import HistoryRecord, decode_history
from streaming.records import Micros, Trade, decode_all
from streaming.topics import CANDLE_DATA, TICK_DATA


@dataclass(frozen=True, slots=True)
class TopicHandler:
    """How a batch of a topic is read and stored, and what follows when the topic is drained.

    store(records, while_waiting): stores a batch, and calls while_waiting, if given, while the database works.
    unsettled(): what waits for the topic to be drained, if anything does.
    drained(at): called with the database time up to which everything in the topic is stored.
    received(records): returns when the trades of a batch arrived from the provider, None if it has no trade.
    stored(changes): called once a batch is committed.
    """

    read: Callable[[Sequence[Record]], Batch[Any]]
    store: Callable[[Any, Callable[[], None] | None], StoreResult]
    unsettled: Callable[[], Unsettled]
    drained: Callable[[datetime], object]
    received: Callable[[Any], Receipts | None]
    stored: Callable[[Sequence[MarketChange]], object]


def read_live(records: Sequence[Record]) -> Batch[LiveBatch]:
    """Read a batch of trades and of what a feed says about itself: opened, watermark, closed."""
    return read_batch(records, decode_all, split_batch)


def read_history(records: Sequence[Record]) -> Batch[list[HistoryRecord]]:
    """Read a batch of the provider's candles and of its answers to requests."""
    return read_batch(records, decode_history, list)


def receipts_of(batch: LiveBatch) -> Receipts | None:
    """Return when the trades of a batch arrived from the provider, None if it has no trade."""
    times: defaultdict[str, list[Micros]] = defaultdict(list)
    for record in batch.records:
        if type(record) is Trade:
            times[record.market].append(record.received_at)
    if not times:
        return None
    return Receipts(min(map(min, times.values())), {market: sum(of) / len(of) for market, of in times.items()})


def live_drained(at: datetime) -> None:
    """Note how far the topic of trades is stored, and end the fills whose trades are."""
    note_read(TICK_DATA.name, at)
    settle_fills(at)


def nothing_more(changes: Sequence[MarketChange]) -> None:
    """Do nothing about a stored batch."""


TOPIC_HANDLERS = {
    TICK_DATA.name: TopicHandler(
        read_live,
        store_live,
        partial(unsettled, TICK_DATA.name, trades=True),
        live_drained,
        receipts_of,
        MissingTrades().look,
    ),
    # A request whose last record was lost with the stream is noticed once nothing more can come.
    CANDLE_DATA.name: TopicHandler(
        read_history,
        store_history,
        partial(unsettled, CANDLE_DATA.name, trades=False),
        settle_published,
        lambda _: None,
        nothing_more,
    ),
}
