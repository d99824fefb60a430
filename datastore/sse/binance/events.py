"""Candles and trades as the events of Binance's streams. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from datastore.api.binance.trades import BUY, StoredTrade
from datastore.series.klines import close_time, kline_of
from datastore.series.reader import Row
from datastore.sse.binance.names import AGGREGATE
from datastore.timeframes.timeframe import Timeframe

CLOSED, TRADES, SOURCE = 9, 7, 8  # cells of a row


class TradeIds(NamedTuple):
    """The venue's ids of the first and the last trade in a candle; -1 where they are not held."""

    first: int = -1
    last: int = -1


def kline_event(symbol: str, frame: Timeframe, row: Row, ids: TradeIds, event_ms: int) -> dict[str, Any]:
    """Return a candle as it is now; x: whether it is closed, that is over and proven."""
    at, open_, high, low, close, volume, _, quote_volume, trades, taker, taker_quote, unused = kline_of(row, frame)
    kline = {
        "t": at,
        "T": close_time(at, frame),
        "s": symbol,
        "i": frame.name,
        "f": ids.first,
        "L": ids.last,
        "o": open_,
        "c": close,
        "h": high,
        "l": low,
        "v": volume,
        "n": trades,
        "x": row[CLOSED],
        "q": quote_volume,
        "V": taker,
        "Q": taker_quote,
        "B": unused,
    }
    return {"e": "kline", "E": event_ms, "s": symbol, "k": kline}


def trade_event(symbol: str, kind: str, trade: StoredTrade, event_ms: int) -> dict[str, Any]:
    """Return one stored trade as an event of @trade or @aggTrade."""
    ids = {"a": trade.number} if kind == AGGREGATE else {"t": trade.first_id}
    covered = {"f": trade.first_id, "l": trade.last_id} if kind == AGGREGATE else {}
    return {
        "e": kind,
        "E": event_ms,
        "s": symbol,
        **ids,
        "p": trade.price,
        "q": trade.amount,
        **covered,
        "T": trade.time_us // 1000,
        "m": trade.side != BUY,
        "M": True,
    }


def message(stream: str, event: dict[str, Any], combined: bool) -> str:
    """Return an event as the text of one message; combined: with the name of its stream."""
    return msgspec.json.encode({"stream": stream, "data": event} if combined else event).decode()


def has_trades(row: Row) -> bool:
    """Return whether a row still has a trade; of one whose last trade was cancelled there is nothing to send."""
    return row[1] is not None and row[TRADES] != 0
