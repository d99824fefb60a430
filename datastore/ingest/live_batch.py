"""A live batch taken apart before its markets are locked: what needs no database can be done while it works."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datastore.ingest.feed_sequence import RefusedTrade
from datastore.ingest.trade_columns import all_valid, columns_of, fault_of
from streaming.records import LiveRecord, Micros, Trade

UNKNOWN_MARKET = "unknown market"
TOO_OLD = "older than the trades that are kept"

FeedKey = tuple[str, str]  # market's symbol, feed


@dataclass(slots=True)
class LiveBatch:
    """A batch as the write wants it; `columns` name a market by its place in `symbols`, from 1."""

    records: Sequence[LiveRecord]
    symbols: list[str] = field(default_factory=list)  # markets that have trades
    columns: list[str] = field(default_factory=list)  # array literals, the arguments of the SQL function ingest
    feeds: defaultdict[FeedKey, list[LiveRecord | RefusedTrade]] = field(default_factory=lambda: defaultdict(list))
    refused: list[tuple[int, str]] = field(default_factory=list)  # (index in records, reason)
    earliest: dict[str, Micros] = field(default_factory=dict)  # time of each market's oldest trade

    def matches(self, oldest: Mapping[str, Micros]) -> bool:
        """Tell whether every market is known and none of its trades is older than what is kept."""
        known = all(symbol in oldest for symbol, _ in self.feeds)
        return known and all(earliest >= oldest[symbol] for symbol, earliest in self.earliest.items())


def split_batch(records: Sequence[LiveRecord], oldest: Mapping[str, Micros] | None = None) -> LiveBatch:
    """Take a batch apart, in its order.

    oldest: by known market, the time before which trades are refused; None: not known yet, all are taken.
    """
    ready = LiveBatch(records)
    numbers: dict[str, str] = {}
    markets: list[str] = []
    trades: list[Trade] = []
    sound = all_valid([record for record in records if type(record) is Trade])
    for index, record in enumerate(records):
        step: LiveRecord | RefusedTrade = record
        if oldest is not None and record.market not in oldest:
            ready.refused.append((index, UNKNOWN_MARKET))
            continue
        if type(record) is Trade:
            if not sound and (fault := fault_of(record)):
                ready.refused.append((index, fault))
                step = RefusedTrade(record.n, f"trade refused: {fault}")
            elif oldest is not None and record.ts < oldest[record.market]:
                ready.refused.append((index, TOO_OLD))
                step = RefusedTrade(record.n, f"trade refused: {TOO_OLD}", record.ts)
            else:
                trades.append(record)
                markets.append(numbers.get(record.market) or numbers.setdefault(record.market, str(len(numbers) + 1)))
        ready.feeds[record.market, record.feed].append(step)
    ready.symbols, ready.columns = list(numbers), columns_of(markets, trades)
    ready.earliest = _earliest(trades)
    return ready


def _earliest(trades: Sequence[Trade]) -> dict[str, Micros]:
    found: dict[str, Micros] = {}
    for trade in trades:
        if trade.ts < found.get(trade.market, trade.ts + 1):
            found[trade.market] = trade.ts
    return found
