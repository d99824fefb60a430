"""A live batch, split before its markets are locked: what needs no database is done outside the lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from datastore.ingest.feed_sequence import RefusedTrade
from datastore.ingest.stored_ids import CountedTrade
from datastore.ingest.trade_columns import all_valid, columns_of, fault_of
from streaming.ends import EndCode
from streaming.records import LastTrade, LiveRecord, Micros, Trade
from streaming.refusals import Refusal, RefusalCode

UNKNOWN_MARKET = Refusal(RefusalCode.UNKNOWN_MARKET, "unknown market")
TOO_OLD = Refusal(RefusalCode.TOO_OLD, "older than the trades that are kept")

FeedKey = tuple[str, str]  # market's symbol, feed


@dataclass(slots=True)
class LiveBatch:
    """A batch split for the write; `columns` refer to a market by its position in `symbols`, counted from 1."""

    records: Sequence[LiveRecord]
    symbols: list[str] = field(default_factory=list)  # markets that have trades
    columns: list[str] = field(default_factory=list)  # array literals, the arguments of the SQL function ingest
    stored: dict[int, Trade] = field(default_factory=dict)  # those in `columns`, by index in records
    feeds: defaultdict[FeedKey, list[LiveRecord | RefusedTrade]] = field(default_factory=lambda: defaultdict(list))
    refused: list[tuple[int, Refusal]] = field(default_factory=list)  # (index in records, why)
    earliest: dict[str, Micros] = field(default_factory=dict)  # time of each market's oldest trade
    has_repeats: bool = False  # a trade comes twice
    counted: defaultdict[str, list[CountedTrade]] = field(default_factory=lambda: defaultdict(list))  # by market
    # By market what the venue said of its newest trade: its id, and when this was first and last said.
    said: defaultdict[str, dict[int, tuple[Micros, Micros]]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def since(self) -> list[Micros] | None:
        """Return the time of the oldest trade of each of `symbols`, or of an older one; None if a trade comes twice."""
        return None if self.has_repeats else [self.earliest[symbol] for symbol in self.symbols]

    def matches(self, oldest: Mapping[str, Micros]) -> bool:
        """Return whether every market is in `oldest` and none of its trades is before the time given there."""
        known = all(symbol in oldest for symbol, _ in self.feeds)
        return known and all(earliest >= oldest[symbol] for symbol, earliest in self.earliest.items())

    def leave_out(self, known: Collection[int]) -> None:
        """Do not store these trades (index in records): they are stored already, or refused."""
        self.stored = {index: trade for index, trade in self.stored.items() if index not in known}
        numbers: dict[str, str] = {}
        markets = [numbers.setdefault(trade.market, str(len(numbers) + 1)) for trade in self.stored.values()]
        self.symbols, self.columns = list(numbers), columns_of(markets, list(self.stored.values()))

    def refuse(self, refusals: Mapping[int, Refusal]) -> set[FeedKey]:
        """Refuse trades that the write found wrong (index in records -> why); return the feeds they came by.

        What these feeds claimed after such a trade's own time is no longer certain.
        """
        by_number: dict[tuple[str, str, int], RefusedTrade] = {}
        for index, refusal in refusals.items():
            trade, reason = self.records[index], f"trade refused: {refusal.detail}"
            assert isinstance(trade, Trade)  # noqa: S101 - nothing else is refused here
            by_number[trade.market, trade.feed, trade.n] = RefusedTrade(
                trade.n, reason, EndCode.CONFLICT, certain=trade.ts
            )
        self.refused += sorted(refusals.items())
        feeds = {(market, feed) for market, feed, _ in by_number}
        for key in feeds:
            self.feeds[key] = [by_number.get((*key, step.n), step) for step in self.feeds[key]]
        return feeds


def split_batch(records: Sequence[LiveRecord], oldest: Mapping[str, Micros] | None = None) -> LiveBatch:
    """Split a batch into trades by column and records by feed, both in the order of the stream.

    oldest: by known market, the time before which trades are refused; None if not known yet: nothing is too old.
    """
    batch = LiveBatch(records)
    numbers: dict[str, str] = {}  # position of each market in `symbols`, as text
    markets: list[str] = []
    trades: list[Trade] = []
    valid = all_valid([record for record in records if type(record) is Trade])
    for index, record in enumerate(records):
        step: LiveRecord | RefusedTrade = record
        if oldest is not None and record.market not in oldest:
            batch.refused.append((index, UNKNOWN_MARKET))
            continue
        if type(record) is Trade:
            if not valid and (fault := fault_of(record)):
                batch.refused.append((index, fault))
                step = RefusedTrade(record.n, f"trade refused: {fault.detail}")
            elif oldest is not None and record.ts < oldest[record.market]:
                batch.refused.append((index, TOO_OLD))
                step = RefusedTrade(record.n, f"trade refused: {TOO_OLD.detail}", ts=record.ts)
            else:
                trades.append(record)
                batch.stored[index] = record
                if record.first is not None and record.last is not None:
                    batch.counted[record.market].append(CountedTrade(record.first, record.last, index, record))
                markets.append(numbers.get(record.market) or numbers.setdefault(record.market, str(len(numbers) + 1)))
        elif type(record) is LastTrade:
            said = batch.said[record.market]
            since, until = said.get(record.last_id, (record.at, record.at))
            said[record.last_id] = min(since, record.at), max(until, record.at)
        batch.feeds[record.market, record.feed].append(step)

    batch.symbols, batch.columns = list(numbers), columns_of(markets, trades)
    batch.has_repeats = len({(trade.market, trade.ts, trade.id) for trade in trades}) < len(trades)
    earliest = batch.earliest
    for trade in trades:
        if trade.ts < earliest.get(trade.market, trade.ts + 1):
            earliest[trade.market] = trade.ts
    return batch
