"""Coinbase Exchange's socket: the channels `matches` and `heartbeat`.

`trade_id` counts up by one per product. `last_match` is the last trade before the subscription: a trade like any other.
`side` is the MAKER's. `sequence` counts messages of a feed that we do not take: it says nothing here. The heartbeat
comes once a second per product and names the last trade; 0 there means that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ingestion.providers.events import Event, FeedRefused, Garbage, LastId, Stamped, Subscribed, TradeSeen, Unsubscribed
from ingestion.providers.reading import (
    DECODE_ERRORS,
    counted_trade,
    documents_of,
    micros_of_text,
    named_in,
    printable,
)
from streaming.bounds import MAX_BIGINT

TAKER = {"sell": 1, "buy": -1}  # by the maker's side
TRADES = "matches"
CHANNELS = (TRADES, "heartbeat")
SLOW = ("ErrSlowConsume", "ErrSlowRead")


class _Kind(msgspec.Struct):
    type: str
    product_id: str | None = None


class MatchRow(msgspec.Struct):
    """A trade, of the socket or of a page."""

    trade_id: int
    side: str
    price: Decimal
    size: Decimal
    time: str


class _Heartbeat(msgspec.Struct):
    product_id: str
    time: str
    last_trade_id: int = 0


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Subscriptions(msgspec.Struct):
    channels: list[_Channel]


class _Error(msgspec.Struct):
    message: str = ""
    reason: str = ""


_kind = msgspec.json.Decoder(_Kind)
_match = msgspec.json.Decoder(MatchRow)
_heartbeat = msgspec.json.Decoder(_Heartbeat)
_subscriptions = msgspec.json.Decoder(_Subscriptions)
_error = msgspec.json.Decoder(_Error)


class CoinbaseStream:
    """One connection."""

    def __init__(self) -> None:
        self._asked: set[str] = set()  # ever
        self._active: set[str] = set()

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return a frame for each product: one that is not listed refuses the whole frame that names it."""
        self._asked.update(subs)
        return [_message("subscribe", sub) for sub in subs]

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return a frame for each product."""
        return [_message("unsubscribe", sub) for sub in subs]

    def keep_alive(self) -> None:
        """Return None: heartbeats keep the connection."""

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says."""
        return tuple(event for document in documents_of(raw) for event in self._read(document))

    def _read(self, raw: bytes) -> list[Event]:
        sub = None
        try:
            kind = _kind.decode(raw)
            sub = kind.product_id
            if kind.type in ("match", "last_match"):
                if not sub:
                    return [Garbage("a trade without a product_id")]
                return [trade_of(sub, _match.decode(raw), kind.type == "last_match")]
            if kind.type == "heartbeat":
                frame = _heartbeat.decode(raw)
                at = micros_of_text(frame.time)
                if at is None:
                    return [Garbage("a heartbeat without a time", frame.product_id)]
                if not 0 < frame.last_trade_id <= MAX_BIGINT:
                    return [Stamped(at)]
                return [Stamped(at), LastId(frame.product_id, frame.last_trade_id, at)]
            if kind.type == "subscriptions":
                # The list always names everything: what is different from the last one has changed.
                channels = _subscriptions.decode(raw).channels
                active = {sub for channel in channels if channel.name == TRADES for sub in channel.product_ids}
                began, ended = sorted(active - self._active), sorted(self._active - active)
                self._active = active
                return [*map(Subscribed, began), *map(Unsubscribed, ended)]
            if kind.type == "error":
                return [self._refused(_error.decode(raw))]
        except DECODE_ERRORS as exc:
            return [Garbage(str(exc), sub)]
        return [Garbage(f"a frame of the unknown type {printable(kind.type)}", sub)]

    def _refused(self, error: _Error) -> FeedRefused:
        reason = printable(": ".join(part for part in (error.message, error.reason) if part))
        # The error has no field for the product that it speaks of.
        sub = named_in(error.reason, self._asked)
        if sub is not None:
            return FeedRefused("error", reason, sub, 400, "See the list of pairs for what Coinbase trades.")
        if any(word in reason for word in SLOW):
            return FeedRefused("slow", reason, None, None, "This machine reads too slowly: spread its markets.")
        limited = "rate limit" in reason.lower()
        return FeedRefused("error", reason, None, 429 if limited else 400)


def _message(kind: str, sub: str) -> bytes:
    return msgspec.json.encode({"type": kind, "product_ids": [sub], "channels": CHANNELS})


def trade_of(sub: str, row: MatchRow, replayed: bool = False) -> TradeSeen | Garbage:
    """Return the trade of a row."""
    ts, side = micros_of_text(row.time), TAKER.get(row.side)
    return counted_trade(sub, row.trade_id, ts, row.price, row.size, side, replayed=replayed)
