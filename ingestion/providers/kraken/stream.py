"""Kraken's socket v2: the channel `trade`.

Prices and amounts are JSON numbers; a frame holds trades of several pairs, oldest first, and a snapshot of the last 50
comes first. `trade_id` counts up by one per pair, `side` is the taker's. Each pair is answered for by itself: a refused
one would look like a quiet one. The heartbeat has neither a time nor an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ingestion.providers.events import (
    Event,
    FeedRefused,
    Garbage,
    Stamped,
    Subscribed,
    TradeSeen,
    Unsubscribed,
    VenueStatus,
)
from ingestion.providers.reading import (
    DECODE_ERRORS,
    batches,
    counted_trade,
    documents_of,
    micros_of_text,
    printable,
)

SIDES = {"buy": 1, "sell": -1}
CHANNEL = "trade"
TRADING = ("online", "limit_only")  # of status; also maintenance, cancel_only, post_only
MAX_SUBS_PER_MESSAGE = 100
ALREADY = "already subscribed"


class _Result(msgspec.Struct):
    channel: str | None = None
    symbol: str | None = None


class _Frame(msgspec.Struct):
    """Any frame: data of a channel, or the answer to a method."""

    channel: str | None = None
    type: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    method: str | None = None
    success: bool | None = None
    result: _Result | None = None
    error: str | None = None
    symbol: str | None = None
    time_out: str | None = None


class _Named(msgspec.Struct):
    symbol: str


class _Trade(msgspec.Struct):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str


class _Status(msgspec.Struct):
    system: str


_frame = msgspec.json.Decoder(_Frame)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_named = msgspec.json.Decoder(_Named)
_trade = msgspec.json.Decoder(_Trade)
_statuses = msgspec.json.Decoder(list[_Status])


class KrakenStream:
    """One connection; it needs to remember nothing."""

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return frames of at most MAX_SUBS_PER_MESSAGE pairs."""
        return [_message("subscribe", some, snapshot=True) for some in batches(subs, MAX_SUBS_PER_MESSAGE)]

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return frames of at most MAX_SUBS_PER_MESSAGE pairs."""
        return [_message("unsubscribe", some) for some in batches(subs, MAX_SUBS_PER_MESSAGE)]

    def keep_alive(self) -> bytes:
        """Return a ping, whose answer has the venue's time."""
        return msgspec.json.encode({"method": "ping"})

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says."""
        return tuple(event for document in documents_of(raw) for event in _read(document))


def _message(method: str, subs: Sequence[str], **more: bool) -> bytes:
    return msgspec.json.encode({"method": method, "params": {"channel": CHANNEL, "symbol": subs, **more}})


def _read(raw: bytes) -> list[Event]:
    try:
        frame = _frame.decode(raw)
        if frame.channel == CHANNEL and frame.data is not msgspec.UNSET and frame.type in ("snapshot", "update"):
            return [_trade_of(row, frame.type == "snapshot") for row in _rows.decode(frame.data)]
        if frame.channel == "status" and frame.data is not msgspec.UNSET:
            return [
                VenueStatus(printable(each.system), each.system in TRADING) for each in _statuses.decode(frame.data)
            ]
    except DECODE_ERRORS as exc:
        return [Garbage(str(exc))]
    if frame.channel == "heartbeat":
        return []
    if frame.method is not None or frame.error is not None:
        return _answer(frame)
    return [Garbage(f"a frame of the unknown channel {printable(frame.channel or 'none')}")]


def _trade_of(raw: msgspec.Raw, replayed: bool) -> TradeSeen | Garbage:
    sub = None
    try:
        sub = _named.decode(raw).symbol
        row = _trade.decode(raw)
    except DECODE_ERRORS as exc:
        return Garbage(str(exc), sub)
    ts, side = micros_of_text(row.timestamp), SIDES.get(row.side)
    return counted_trade(row.symbol, row.trade_id, ts, row.price, row.qty, side, replayed=replayed)


def _answer(frame: _Frame) -> list[Event]:
    """Return what the answer to a method says, with the venue's clock if it has it."""
    at = micros_of_text(frame.time_out) if frame.time_out else None
    events: list[Event] = [] if at is None else [Stamped(at)]
    sub = frame.symbol or (frame.result.symbol if frame.result else None)
    if frame.error is not None or frame.success is False:
        error = printable(frame.error or "no reason given")
        if sub and ALREADY in error.lower():
            return [*events, Subscribed(sub)]
        status = 429 if "rate" in error.lower().split() else 400
        remedy = (
            "" if status == 429 else "See the list of pairs for what Kraken trades; its names here are BTC and DOGE."
        )
        return [*events, FeedRefused("error", error, sub, status, remedy)]
    if frame.method == "subscribe" and sub:
        return [*events, Subscribed(sub)]
    if frame.method == "unsubscribe" and sub:
        return [*events, Unsubscribed(sub)]
    known = frame.method == "pong"
    return events if known else [Garbage(f"an answer to the method {printable(frame.method or 'none')}")]
