"""OKX's socket: the channel `trades-all`, a row for each trade, with the ids that pages have.

`tradeId` counts up by one per market, `side` is the taker's. The channel `trades` is read as well but not asked for: a
row of it holds the `count` trades up to its id, while pages have each of them alone under the same ids. Nothing is sent
again after a subscription, and nothing says the time while nothing is traded.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ingestion.providers.events import Event, FeedRefused, Garbage, ReconnectSoon, Subscribed, TradeSeen, Unsubscribed
from ingestion.providers.reading import (
    DECODE_ERRORS,
    MS_US,
    batches,
    counted_trade,
    documents_of,
    named_in,
    plausible_time,
    printable,
)

CHANNEL, CHANNELS = "trades-all", ("trades-all", "trades")
MAX_SUBS_PER_MESSAGE = 100
SIDES = {"buy": 1, "sell": -1}
TOO_MANY, UPGRADE, NOTICE_S = "60014", "64008", 60.0


class _Arg(msgspec.Struct):
    channel: str = ""
    sub: str = msgspec.field(name="instId", default="")


class _Frame(msgspec.Struct):
    event: str = ""
    arg: _Arg | None = None
    data: list[msgspec.Raw] | None = None
    code: str = ""
    msg: str = ""


class _Named(msgspec.Struct):
    sub: str = msgspec.field(name="instId")


class TradeRow(msgspec.Struct):
    """One trade, or `count` of them up to its id, of the socket or of a page."""

    id: int = msgspec.field(name="tradeId")
    price: Decimal = msgspec.field(name="px")
    amount: Decimal = msgspec.field(name="sz")
    side: str
    millis: int = msgspec.field(name="ts")
    count: int = 1


_frame = msgspec.json.Decoder(_Frame)
_named = msgspec.json.Decoder(_Named)
_row = msgspec.json.Decoder(TradeRow, strict=False)  # all its numbers are texts


class OkxStream:
    """One connection."""

    def __init__(self) -> None:
        self._asked: set[str] = set()  # ever

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return frames of at most MAX_SUBS_PER_MESSAGE markets."""
        self._asked.update(subs)
        return _messages("subscribe", subs)

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return frames of at most MAX_SUBS_PER_MESSAGE markets."""
        return _messages("unsubscribe", subs)

    def keep_alive(self) -> bytes:
        """Return a ping, whose answer is `pong` and no more."""
        return b"ping"

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says."""
        return () if raw == b"pong" else tuple(event for each in documents_of(raw) for event in self._read(each))

    def _read(self, raw: bytes) -> list[Event]:
        try:
            frame = _frame.decode(raw)
        except DECODE_ERRORS as exc:
            return [Garbage(str(exc))]
        sub = frame.arg.sub if frame.arg else ""
        if frame.arg and frame.arg.channel in CHANNELS and frame.data is not None:
            return [trade_of(None, row) for row in frame.data]
        if sub and frame.event in ("subscribe", "unsubscribe"):
            return [Subscribed(sub) if frame.event == "subscribe" else Unsubscribed(sub)]
        if frame.event == "notice" and frame.code == UPGRADE:
            return [ReconnectSoon(printable(frame.msg), NOTICE_S)]
        if frame.event == "error":
            reason = printable(f"{frame.msg or 'no reason given'} ({frame.code})")
            if frame.code == TOO_MANY:
                return [FeedRefused(frame.code, reason, None, 429)]
            remedy = (
                "See the list of pairs for what OKX trades at this host: those of other regions have other markets."
            )
            return [FeedRefused(frame.code, reason, named_in(frame.msg, self._asked), 400, remedy)]
        return [Garbage(f"a frame of the unknown kind {printable(frame.event or 'none')}", sub or None)]


def _messages(op: str, subs: Sequence[str]) -> list[bytes]:
    asked = ([{"channel": CHANNEL, "instId": sub} for sub in some] for some in batches(subs, MAX_SUBS_PER_MESSAGE))
    return [msgspec.json.encode({"op": op, "args": args}) for args in asked]


def trade_of(sub: str | None, raw: msgspec.Raw) -> TradeSeen | Garbage:
    """Return the trade of a row; without `sub`, it is the market that the row names."""
    try:
        sub = sub or _named.decode(raw).sub
        row = _row.decode(raw)
    except DECODE_ERRORS as exc:
        return Garbage(str(exc), sub)
    ts, ids = plausible_time(row.millis * MS_US), (row.id - row.count + 1, row.id)
    # No other time is sent: the venue's clock is not behind the trade's.
    return counted_trade(sub, row.id, ts, row.price, row.amount, SIDES.get(row.side), ids=ids, stamp=ts)
