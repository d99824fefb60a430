"""The typed records of the live topics, and their JSON.

Times are whole microseconds since 1970 UTC in the provider's time, prices and sizes exact decimals (strings on the
wire). Every record belongs to a feed (one connection of one route) and carries `n`, its number within
(feed, market) from 1: a repeat shows as an n already seen, a loss as a jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from streaming.errors import BadRecord

VERSION = 1
Micros = int
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Number = Annotated[int, msgspec.Meta(ge=1)]


class _Live(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    market: Text  # exchange:BASE-QUOTE
    feed: Text  # topic + connection, e.g. tick-data/5f0c…
    n: Number
    v: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)] = VERSION


class Trade(_Live, frozen=True, kw_only=True, tag="trade"):
    """One trade as the venue reported it; identity (market, ts, id), order (ts, seq nulls last, id)."""

    ts: Micros  # exchange time
    seq: int | None = None  # CCSEQ, else a wholly numeric venue id, else absent
    id: Text
    price: Decimal
    amount: Decimal  # base units
    side: Annotated[int, msgspec.Meta(ge=-1, le=1)] = 0  # taker: 1 buy, -1 sell, 0 unknown
    received_at: Micros  # provider time at receipt


class Replayed(msgspec.Struct, frozen=True, array_like=True):
    """The identity of a trade that the provider sent again at the start of a subscription."""

    ts: Micros
    id: Text
    seq: int | None = None


class FeedOpened(_Live, frozen=True, kw_only=True, tag="feed_opened"):
    """The subscription stands; comes after the trades that the provider replayed."""

    connected: Micros  # provider time when the socket opened
    start: Micros  # from here on every trade of the market is carried
    replayed: tuple[Replayed, ...] = ()


class Watermark(_Live, frozen=True, kw_only=True, tag="watermark"):
    """Every trade that the provider knew of before `until` lies in front of this record."""

    start: Micros  # of the span, as the producer knows it
    until: Micros
    # Newest provider stamp received by then. A span that begins anew after an end begins here, not at `until`:
    # what was lost may be as young as this.
    seen: Micros | None = None


class FeedClosed(_Live, frozen=True, kw_only=True, tag="feed_closed"):
    """The span ends at `stop` (nothing was proven where absent); the feed may go on with a new span later."""

    start: Micros
    stop: Micros | None = None
    reason: Text


LiveRecord = Trade | FeedOpened | Watermark | FeedClosed

_encoder = msgspec.json.Encoder()
_one = msgspec.json.Decoder(LiveRecord)
_many = msgspec.json.Decoder(list[LiveRecord])


def encode(record: LiveRecord) -> bytes:
    """Return the record's JSON."""
    return _encoder.encode(record)


def decode(value: bytes) -> LiveRecord:
    """Return the record in value; raise BadRecord with the reason where there is none."""
    try:
        record: LiveRecord = _one.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise BadRecord(str(exc)) from exc
    return record


def decode_all(values: Sequence[bytes]) -> list[LiveRecord | BadRecord]:
    """Return each value's record, or why it has none: one parse for a clean batch, one each where it is not."""
    try:
        whole = _many.decode(b"[" + b",".join(values) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [_decode_or_reason(value) for value in values]
    # A value such as b"{…},{…}" or b"" would shift every later one: then the count differs.
    return list(whole) if len(whole) == len(values) else [_decode_or_reason(value) for value in values]


def _decode_or_reason(value: bytes) -> LiveRecord | BadRecord:
    try:
        return decode(value)
    except BadRecord as reason:
        return reason
