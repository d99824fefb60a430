"""What the live producer counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from datastore.timeframes.intervals import SECOND_US
from metering.table import LATENESS, TRADES_RECEIVED
from streaming.records import LiveRecord, Trade


def count_trades(records: Sequence[LiveRecord]) -> None:
    """Count acknowledged trades, and how late the latest of them was: once per batch."""
    trades = [record for record in records if type(record) is Trade]
    for market, count in Counter(trade.market for trade in trades).items():
        TRADES_RECEIVED.labels(market).inc(count)
    if trades:
        LATENESS.labels("feed").observe(max(trade.received_at - trade.ts for trade in trades) / SECOND_US)
