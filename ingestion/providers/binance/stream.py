"""Binance's socket: aggregated trades, and one-minute candles that name their first and last trade.

Two numberings: an aggregate's own `a`, and the ids `f` to `l` of the trades in it; both count up by one per market. We
name a trade by `a`, by which pages are asked for, and prove by `f` and `l`. `m` is true if the buyer was the maker:
then the taker sold. An unknown symbol is accepted without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.events import (
    CandleSeen,
    Event,
    FeedRefused,
    Garbage,
    LastId,
    ReconnectSoon,
    Subscribed,
    TradeSeen,
    Unsubscribed,
)
from ingestion.providers.reading import (
    DECODE_ERRORS,
    MS_US,
    batches,
    counted_trade,
    documents_of,
    implausible,
    plausible_time,
    printable,
)
from streaming.bounds import MAX_BIGINT
from streaming.refusals import RefusalCode

MAX_SUBS_PER_MESSAGE = 100
OPEN_CANDLE_LAG_US = SECOND_US  # an open candle's frame may have been made before trades of its own stamp
SHUTDOWN = "serverShutdown"
MANY_REQUESTS = 3


class _Frame(msgspec.Struct):
    """Any frame: wrapped or not, an event or an answer."""

    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: str | None = msgspec.field(name="e", default=None)
    symbol: str | None = msgspec.field(name="s", default=None)
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: int | None = None
    error: _Error | None = None
    code: int | None = None
    msg: str | None = None


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class AggregateRow(msgspec.Struct):
    """An aggregate of trades of one taker at one price, of the socket or of a page."""

    id: int = msgspec.field(name="a")
    price: Decimal = msgspec.field(name="p")
    amount: Decimal = msgspec.field(name="q")
    first: int = msgspec.field(name="f")
    last: int = msgspec.field(name="l")
    millis: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    sent: int | None = msgspec.field(name="E", default=None)

    @property
    def is_marker(self) -> bool:
        """Return whether it only marks an aggregate that was sent twice: its number counts, it holds no trade."""
        return self.first == self.last == -1 and self.price == self.amount == 0


class _Candle(msgspec.Struct):
    start: int = msgspec.field(name="t")
    stop: int = msgspec.field(name="T")  # the last millisecond
    first: int = msgspec.field(name="f")
    last: int = msgspec.field(name="L")
    trades: int = msgspec.field(name="n")
    closed: bool = msgspec.field(name="x")
    open: Decimal = msgspec.field(name="o")
    high: Decimal = msgspec.field(name="h")
    low: Decimal = msgspec.field(name="l")
    close: Decimal = msgspec.field(name="c")
    volume: Decimal = msgspec.field(name="v")
    quote_volume: Decimal = msgspec.field(name="q")


class _CandleFrame(msgspec.Struct):
    sent: int = msgspec.field(name="E")
    candle: _Candle = msgspec.field(name="k")


_frame = msgspec.json.Decoder(_Frame)
_aggregate = msgspec.json.Decoder(AggregateRow)
_candle = msgspec.json.Decoder(_CandleFrame)


class BinanceStream:
    """One connection: an answer names only the number of what was asked, so the stream keeps what that was."""

    def __init__(self) -> None:
        self._number = 0
        self._asked: dict[int, tuple[str, tuple[str, ...]]] = {}

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return frames of at most MAX_SUBS_PER_MESSAGE symbols."""
        return [self._message("SUBSCRIBE", some) for some in batches(subs, MAX_SUBS_PER_MESSAGE)]

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return frames of at most MAX_SUBS_PER_MESSAGE symbols."""
        return [self._message("UNSUBSCRIBE", some) for some in batches(subs, MAX_SUBS_PER_MESSAGE)]

    def keep_alive(self) -> None:
        """Return None: the venue pings, and the socket answers."""

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says."""
        return tuple(event for document in documents_of(raw) for event in self._read(document))

    def _message(self, method: str, subs: Sequence[str]) -> bytes:
        self._number += 1
        self._asked[self._number] = method, tuple(subs)
        params = [f"{sub.lower()}@{channel}" for sub in subs for channel in ("aggTrade", "kline_1m")]
        return msgspec.json.encode({"method": method, "params": params, "id": self._number})

    def _read(self, raw: bytes | msgspec.Raw) -> list[Event]:
        sub = None
        try:
            frame = _frame.decode(raw)
            if frame.data is not msgspec.UNSET:
                raw = frame.data
                frame = _frame.decode(raw)
            sub = frame.symbol
            if frame.event == "aggTrade":
                row = _aggregate.decode(raw)
                if not sub:
                    return [Garbage("a trade without a symbol")]
                return [] if row.is_marker else [trade_of(sub, row)]
            if frame.event == "kline":
                return _candle_events(sub, _candle.decode(raw))
        except DECODE_ERRORS as exc:
            return [Garbage(str(exc), sub)]
        if frame.event == SHUTDOWN:
            return [ReconnectSoon("the venue announces a restart of its server")]
        return self._answer(frame)

    def _answer(self, frame: _Frame) -> list[Event]:
        method, subs = self._asked.pop(frame.id, ("", ())) if frame.id is not None else ("", ())
        error = frame.error or (_Error(frame.code, frame.msg or "") if frame.code is not None else None)
        if error:
            reason = printable(f"{error.msg or 'no reason given'} ({error.code})")
            status = 429 if error.code == MANY_REQUESTS or "too many" in error.msg.lower() else 400
            return [FeedRefused(str(error.code), reason, sub, status) for sub in subs or (None,)]
        if frame.result is not msgspec.UNSET and method:
            return [Subscribed(sub) if method == "SUBSCRIBE" else Unsubscribed(sub) for sub in subs]
        kind = printable(frame.event) if frame.event else "none"
        return [Garbage(f"a frame of the unknown type {kind}", frame.symbol)]


def trade_of(sub: str, row: AggregateRow) -> TradeSeen | Garbage:
    """Return the trade of an aggregate that is no marker."""
    ts = plausible_time(row.millis * MS_US)
    stamp = None if row.sent is None else plausible_time(row.sent * MS_US)
    side = -1 if row.buyer_is_maker else 1
    return counted_trade(sub, row.id, ts, row.price, row.amount, side, ids=(row.first, row.last), stamp=stamp)


def _candle_events(sub: str | None, frame: _CandleFrame) -> list[Event]:
    """Return the candle, and what it says of the newest trade.

    A candle that contradicts itself says nothing of that. One that is closed speaks for its whole minute.
    """
    row, at = frame.candle, plausible_time(frame.sent * MS_US)
    start, stop = plausible_time(row.start * MS_US), plausible_time((row.stop + 1) * MS_US)
    prices = (row.open, row.high, row.low, row.close)
    if not sub or at is None or start is None or stop is None or start >= stop:
        return [Garbage("a candle without a symbol or a time", sub)]
    if any(implausible(price, size) for price in prices for size in (row.volume, row.quote_volume)):
        return [Garbage("a candle of numbers that are not plausible", sub, code=RefusalCode.NUMBER)]
    quiet = row.first == row.last == -1 and row.trades == 0
    if not quiet and not (0 <= row.first <= row.last <= MAX_BIGINT and row.trades >= 1):
        return [Garbage(f"a candle of {row.trades} trades from {row.first} to {row.last}", sub)]
    first, last = (None, None) if quiet else (row.first, row.last)
    candle = CandleSeen(
        sub, start, stop, at, row.closed, first, last, row.trades, *prices, row.volume, row.quote_volume
    )
    if not last or row.trades != row.last - row.first + 1:
        return [candle]
    return [candle, LastId(sub, last, stop if row.closed else at - OPEN_CANDLE_LAG_US)]
