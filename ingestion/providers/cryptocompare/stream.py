"""CryptoCompare's streamer v2 frames as typed events.

Sources: the provider's websocket documentation and captured frames. TYPE, F and the times come as numbers or as
numeric strings; every field of a trade but TYPE, M, FSYM, TSYM and F may be absent; the ID is made up (the second of
TS followed by 0 to 999) if the venue has none; CCSEQ counts in the order of discovery, and only some markets have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import msgspec

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.events import Event, FeedRefused, Garbage, Stamped, Subscribed, TradeSeen, Unsubscribed
from ingestion.providers.reading import implausible, plausible_time
from streaming.bounds import MAX_BIGINT
from streaming.refusals import RefusalCode

TRADE, COMPLETE, WELCOME, HEARTBEAT, UNAUTHORIZED, LIMITED, PROBLEM = "0", "16", "20", "999", "401", "429", "500"
UNSUBSCRIBED, UNSUBSCRIBED_ALL = "17", "18"  # one subscription has ended; all that one message named have
SELL, BUY = 1, 2


class _Frame(msgspec.Struct):
    """The fields we read, as loosely typed as the provider sends them."""

    type: str | int = msgspec.field(name="TYPE")
    exchange: str | None = msgspec.field(name="M", default=None)
    base: str | None = msgspec.field(name="FSYM", default=None)
    quote: str | None = msgspec.field(name="TSYM", default=None)
    flags: int = msgspec.field(name="F", default=0)
    id: str | int | None = msgspec.field(name="ID", default=None)
    seconds: int | None = msgspec.field(name="TS", default=None)
    nanos: int = msgspec.field(name="TSNS", default=0)
    received_seconds: int | None = msgspec.field(name="RTS", default=None)
    received_nanos: int = msgspec.field(name="RTSNS", default=0)
    price: Decimal | None = msgspec.field(name="P", default=None)
    amount: Decimal | None = msgspec.field(name="Q", default=None)
    seq: int | None = msgspec.field(name="CCSEQ", default=None)
    millis: int | None = msgspec.field(name="TIMEMS", default=None)
    server_millis: int | None = msgspec.field(name="SERVER_TIME_MS", default=None)
    message: str | None = msgspec.field(name="MESSAGE", default=None)
    parameter: str | None = msgspec.field(name="PARAMETER", default=None)
    info: str | None = msgspec.field(name="INFO", default=None)
    sub: str | None = msgspec.field(name="SUB", default=None)


class _Market(msgspec.Struct):
    """The market of a frame whose other fields cannot be read."""

    exchange: str | None = msgspec.field(name="M", default=None)
    base: str | None = msgspec.field(name="FSYM", default=None)
    quote: str | None = msgspec.field(name="TSYM", default=None)


@dataclass(frozen=True, slots=True)
class Other:
    """A frame that says nothing we need."""


Said = TradeSeen | Subscribed | Unsubscribed | Stamped | FeedRefused | Garbage | Other
# The HTTP status that means the same; 500 is the streamer's word for a request that it cannot read.
HTTP_STATUS = {UNAUTHORIZED: 401, LIMITED: 429, PROBLEM: 400}

# Deeply nested brackets end in RecursionError.
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
_frame = msgspec.json.Decoder(_Frame, strict=False)
_market = msgspec.json.Decoder(_Market)


class Streamer:
    """The messages and frames of one connection; nothing needs to be remembered between them."""

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return the one frame that asks for all channels."""
        return [subscribe_message(list(subs))]

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return the one frame that ends these channels."""
        return [unsubscribe_message(list(subs))]

    def keep_alive(self) -> bytes | None:
        """Return None: the streamer itself sends heartbeats."""
        return None

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says; never raises."""
        said = read_frame(raw)
        return () if isinstance(said, Other) else (said,)


def subscription(exchange: str, base: str, quote: str) -> str:
    """Return the provider's name of a market's trade channel."""
    return f"0~{exchange}~{base}~{quote}"


@lru_cache(maxsize=4096)  # it is asked for with every trade
def channel_key(sub: str) -> str:
    """Return what a channel is found by, however its exchange is spelled; of base and quote the case counts."""
    kind, *names = sub.split("~", 2)
    return "~".join([kind, *map(str.lower, names[:1]), *names[1:]])


def subscribe_message(subs: list[str]) -> bytes:
    """Return the frame that asks for these channels."""
    return msgspec.json.encode({"action": "SubAdd", "subs": subs})


def unsubscribe_message(subs: list[str]) -> bytes:
    """Return the frame that ends these channels."""
    return msgspec.json.encode({"action": "SubRemove", "subs": subs})


def read_frame(raw: bytes) -> Said:
    """Return what a frame says; never raises."""
    try:
        frame = _frame.decode(raw)
    except _DECODE_ERRORS as exc:
        sub = None
        with suppress(*_DECODE_ERRORS):
            market = _market.decode(raw)
            if market.exchange and market.base and market.quote:
                sub = subscription(market.exchange, market.base, market.quote)
        return Garbage(str(exc), sub)
    kind = str(frame.type)
    return _trade(frame) if kind == TRADE else _control(kind, frame)


def _control(kind: str, frame: _Frame) -> Said:
    if kind == COMPLETE and frame.sub:
        return Subscribed(frame.sub)
    name = frame.message or ""  # the only field that tells the cases of one TYPE apart
    if kind == PROBLEM and name == "SUBSCRIPTION_ALREADY_ACTIVE":
        return Other()  # the subscription is there
    if kind in (UNAUTHORIZED, LIMITED, PROBLEM):
        reason = " ".join(part for part in (frame.message, frame.parameter, frame.info) if part)
        of_one = kind == PROBLEM or name.startswith("TOO_MANY_SUBSCRIPTIONS")  # the others go on
        return FeedRefused(kind, reason[:300], frame.parameter if of_one else None, HTTP_STATUS[kind])
    if kind in (UNSUBSCRIBED, UNSUBSCRIBED_ALL):
        return Unsubscribed(frame.sub if kind == UNSUBSCRIBED else None)
    millis = frame.millis if kind == HEARTBEAT else frame.server_millis if kind == WELCOME else None
    stamp = plausible_time((millis or 0) * 1000)
    return Stamped(stamp) if stamp else Other()


def _trade(frame: _Frame) -> TradeSeen | Garbage:
    if not (frame.exchange and frame.base and frame.quote):
        return Garbage("a trade without a market")
    sub = subscription(frame.exchange, frame.base, frame.quote)
    ccseq, stamp = _seq(frame.seq, None), None
    if frame.received_seconds is not None:
        stamp = plausible_time(frame.received_seconds * SECOND_US + frame.received_nanos // 1000)
    if frame.seconds is None or not 0 < frame.seconds < 10**11 or not 0 <= frame.nanos < 10**9:
        return Garbage("a trade without a time", sub, ccseq, stamp)
    price, amount = frame.price, frame.amount
    if price is None or amount is None:
        return Garbage("a trade without a price or an amount", sub, ccseq, stamp, RefusalCode.NUMBER)
    if reason := implausible(price, amount):
        return Garbage(reason, sub, ccseq, stamp, RefusalCode.NUMBER)
    ts = frame.seconds * SECOND_US + frame.nanos // 1000

    # The venue's own id, unless the provider made it up of the trade's time.
    venue_id = None
    if frame.id is not None and frame.id != "":
        text, second = str(frame.id), str(frame.seconds)
        made_up = text.isdecimal() and text.startswith(second) and len(text) <= len(second) + 3
        venue_id = None if made_up else text[:200]
    if venue_id and not venue_id.isprintable():
        return Garbage("the trade's id holds control characters", sub, ccseq, stamp)
    side = -1 if frame.flags & SELL else 1 if frame.flags & BUY else 0
    return TradeSeen(
        sub=sub,
        ts=ts,
        seq=_seq(frame.seq, venue_id),
        number=ccseq,
        id=venue_id or _own_id(frame.seq, ts, price, amount, side),
        price=price,
        amount=amount,
        side=side,
        stamp=stamp,
        made_up_id=None if venue_id or frame.id is None or frame.id == "" else str(frame.id),
        named_by_content=venue_id is None and frame.seq is None,
    )


def _seq(ccseq: int | None, venue_id: str | None) -> int | None:
    found = ccseq if ccseq is not None else int(venue_id) if venue_id and venue_id.isdecimal() else None
    return found if found is not None and 0 <= found <= MAX_BIGINT else None


def _own_id(ccseq: int | None, ts: int, price: Decimal, amount: Decimal, side: int) -> str:
    """Return an id for a trade without one; equal trades without a number get the same (see EqualTrades)."""
    if ccseq is not None:
        return f"ccseq:{ccseq}"
    content = f"{ts} {_trimmed(price)} {_trimmed(amount)} {side}"
    return "sha:" + hashlib.sha256(content.encode()).hexdigest()[:32]


def _trimmed(value: Decimal) -> str:
    """Return the number's text without trailing zeros, so that 1.10 and 1.1 name the same trade."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
