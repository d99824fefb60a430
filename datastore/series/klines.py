"""Candles as Binance's klines: arrays of twelve, decimals as text. Pure.

text_format.BinanceWriter writes the same of lines of any number, which it does not take apart.
"""

from __future__ import annotations

from datastore.series.reader import Row
from datastore.timeframes.intervals import micros_of, moment
from datastore.timeframes.timeframe import Timeframe

# Open time, open, high, low, close, volume, close time (ms), quote volume, trades, taker's base and quote volume, 0.
Kline = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
UNKNOWN_VOLUME = "0"  # what clients can read; the sides of a candle's trades are not stored


def kline_of(row: Row, frame: Timeframe) -> Kline:
    """Return a stored row as a kline; what its provider does not give, quote volume or count of trades, is 0."""
    at, open_, high, low, close, volume, quote_volume, trades, *_ = row
    assert open_ and high and low and close and volume  # noqa: S101 - no row is invented
    unknown = UNKNOWN_VOLUME
    return (
        at,
        open_,
        high,
        low,
        close,
        volume,
        close_time(at, frame),
        quote_volume or unknown,
        trades or 0,
        unknown,
        unknown,
        "0",
    )


def close_time(open_ms: int, frame: Timeframe) -> int:
    """Return the last millisecond of the bucket that begins at a time in ms."""
    return micros_of(frame.after(moment(open_ms * 1000))) // 1000 - 1
