"""Candles as Binance's klines: arrays of twelve, decimals as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import Timeframe

# Open time, open, high, low, close, volume, close time (ms), quote volume, trades, taker's base and quote volume, 0.
Kline = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
UNKNOWN = "0"  # what clients can read, of what is not known or not stored, as the sides of a candle's trades


def kline_of(row: Sequence[Any], frame: Timeframe) -> Kline:
    """Return a row of GET candles as a kline; what it does not hold is 0. Its cells may also be those of csv."""
    at, open_, high, low, close, volume, quote_volume, trades = row[:8]
    return (
        int(at),
        open_ or UNKNOWN,
        high or UNKNOWN,
        low or UNKNOWN,
        close or UNKNOWN,
        volume or UNKNOWN,
        close_time(int(at), frame),
        quote_volume or UNKNOWN,
        int(trades or 0),
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
    )


def close_time(open_ms: int, frame: Timeframe) -> int:
    """Return the last millisecond of the bucket that begins at a time in ms."""
    if frame.seconds:
        return open_ms + frame.seconds * 1000 - 1
    return micros_of(frame.after(moment(open_ms * 1000))) // 1000 - 1
