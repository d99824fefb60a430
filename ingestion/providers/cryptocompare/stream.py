"""CryptoCompare's streamer v2 frames as typed events.

Sources: the provider's websocket documentation and captured frames. TYPE, F and the times come as numbers or as
numeric strings; every field of a trade but TYPE, M, FSYM, TSYM and F may be absent; the ID is made up (the second of
TS followed by 0 to 999) if the venue has none; CCSEQ counts in the order of discovery, and only some markets have it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache

import msgspec

from datastore.timeframes.intervals import SECOND_US
from streaming.bounds import MAX_BIGINT, MAX_TIME_US, MIN_TIME_US, PROVIDER_EXPONENTS
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
class TradeSeen:
    """A trade of the market that the subscription `sub` names; `stamp` is when the provider received it."""

    sub: str
    ts: int
    seq: int | None  # CCSEQ, else a wholly numeric venue id
    ccseq: int | None
    id: str
    price: Decimal
    amount: Decimal
    side: int
    stamp: int | None
    made_up_id: str | None = None  # the provider's, on this connection only
    named_by_content: bool = False  # `id` is that of every trade of this time, price, amount and side


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The provider has replayed its newest trades of `sub` and continues live."""

    sub: str


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The provider sends nothing more of `sub`; None: of all subscriptions that were to end."""

    sub: str | None


@dataclass(frozen=True, slots=True)
class Stamped:
    """A frame that only carries the provider's time."""

    stamp: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider refuses the key (401), the socket (429), or one subscription (500 or 429 with `sub`)."""

    code: str
    reason: str
    sub: str | None = None

    @property
    def http_status(self) -> int | None:
        """Return the HTTP status that means the same; 500 is the streamer's word for a request it cannot read."""
        return {UNAUTHORIZED: 401, LIMITED: 429, PROBLEM: 400}.get(self.code)


@dataclass(frozen=True, slots=True)
class Garbage:
    """A frame that cannot be used, with the reason; the rest if it can be read, as in TradeSeen."""

    reason: str
    sub: str | None = None
    ccseq: int | None = None
    stamp: int | None = None
    code: RefusalCode = RefusalCode.UNREADABLE


@dataclass(frozen=True, slots=True)
class Other:
    """A frame that says nothing we need."""


Event = TradeSeen | Subscribed | Unsubscribed | Stamped | Refused | Garbage | Other

# Deeply nested brackets end in RecursionError.
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
_frame = msgspec.json.Decoder(_Frame, strict=False)
_market = msgspec.json.Decoder(_Market)


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


def read_frame(raw: bytes) -> Event:
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


def read_date(text: str | None) -> int | None:
    """Return the time of an HTTP header Date in microseconds, None if there is none that can be read."""
    try:
        date = parsedate_to_datetime(text or "")
        return _plausible_stamp(round(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * SECOND_US)
    except (ValueError, OverflowError):
        return None


def _control(kind: str, frame: _Frame) -> Event:
    if kind == COMPLETE and frame.sub:
        return Subscribed(frame.sub)
    name = frame.message or ""  # the only field that tells the cases of one TYPE apart
    if kind == PROBLEM and name == "SUBSCRIPTION_ALREADY_ACTIVE":
        return Other()  # the subscription is there
    if kind in (UNAUTHORIZED, LIMITED, PROBLEM):
        reason = " ".join(part for part in (frame.message, frame.parameter, frame.info) if part)
        of_one = kind == PROBLEM or name.startswith("TOO_MANY_SUBSCRIPTIONS")  # the others go on
        return Refused(kind, reason[:300], frame.parameter if of_one else None)
    if kind in (UNSUBSCRIBED, UNSUBSCRIBED_ALL):
        return Unsubscribed(frame.sub if kind == UNSUBSCRIBED else None)
    millis = frame.millis if kind == HEARTBEAT else frame.server_millis if kind == WELCOME else None
    stamp = _plausible_stamp((millis or 0) * 1000)
    return Stamped(stamp) if stamp else Other()


def _trade(frame: _Frame) -> TradeSeen | Garbage:
    if not (frame.exchange and frame.base and frame.quote):
        return Garbage("a trade without a market")
    sub = subscription(frame.exchange, frame.base, frame.quote)
    ccseq, stamp = _seq(frame.seq, None), None
    if frame.received_seconds is not None:
        stamp = _plausible_stamp(frame.received_seconds * SECOND_US + frame.received_nanos // 1000)
    if frame.seconds is None or not 0 < frame.seconds < 10**11 or not 0 <= frame.nanos < 10**9:
        return Garbage("a trade without a time", sub, ccseq, stamp)
    price, amount = frame.price, frame.amount
    if price is None or amount is None:
        return Garbage("a trade without a price or an amount", sub, ccseq, stamp, RefusalCode.NUMBER)
    if reason := _implausible(price, amount):
        return Garbage(reason, sub, ccseq, stamp, RefusalCode.NUMBER)
    ts = frame.seconds * SECOND_US + frame.nanos // 1000
    venue_id = _venue_id(frame)
    if venue_id and not venue_id.isprintable():
        return Garbage("the trade's id holds control characters", sub, ccseq, stamp)
    side = -1 if frame.flags & SELL else 1 if frame.flags & BUY else 0
    return TradeSeen(
        sub=sub,
        ts=ts,
        seq=_seq(frame.seq, venue_id),
        ccseq=ccseq,
        id=venue_id or _own_id(frame.seq, ts, price, amount, side),
        price=price,
        amount=amount,
        side=side,
        stamp=stamp,
        made_up_id=None if venue_id or frame.id is None or frame.id == "" else str(frame.id),
        named_by_content=venue_id is None and frame.seq is None,
    )


def _implausible(price: Decimal, amount: Decimal) -> str | None:
    for name, value in (("price", price), ("amount", amount)):
        # adjusted() is the exponent of the first digit, the tuple's that of the last one.
        last = value.as_tuple().exponent
        if not isinstance(last, int) or value.adjusted() not in PROVIDER_EXPONENTS or last < PROVIDER_EXPONENTS.start:
            return f"the {name} is not a plausible number"
    if price <= 0:
        return f"the price {price} is not above 0"
    return f"the amount {amount} is below 0" if amount < 0 else None


def _venue_id(frame: _Frame) -> str | None:
    """Return the venue's own id of the trade; None if the provider made it up."""
    if frame.id is None or frame.id == "":
        return None
    text, second = str(frame.id), str(frame.seconds)
    made_up = text.isdecimal() and text.startswith(second) and len(text) <= len(second) + 3
    return None if made_up else text[:200]


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


def _plausible_stamp(micros: int) -> int | None:
    """Return the stamp; None if no clock could show it: one far in the future would never be taken back."""
    return micros if MIN_TIME_US < micros < MAX_TIME_US else None
