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

from streaming.bounds import MAX_BIGINT, MAX_WIRE, MIN_WIRE
from streaming.ends import EndCode
from streaming.errors import BadRecord
from streaming.refusals import Refusal, RefusalCode

VERSION = 1
Micros = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999_999)]  # up to the end of the year 9999
MAX_TEXT_LENGTH = 200
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_LENGTH)]
Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_BIGINT)]
Sequential = Annotated[int, msgspec.Meta(ge=0, le=MAX_BIGINT)]
MAX_IDS = 100_000  # that one trade covers: a longer range would hold what nobody sent
ODD_IDS = f"a trade covers the ids from `first` to `last`: both or neither, in this order, {MAX_IDS:,} at most"
NUL = "a text holds the character NUL, which PostgreSQL cannot store"
MAX_TRADE_BYTES = 4096  # bytes of JSON; bounds the digits too


class _Live(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    market: Text  # exchange:BASE-QUOTE
    feed: Text  # topic + connection, e.g. tick-data/5f0c…
    n: Number
    v: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)] = VERSION


class Trade(_Live, frozen=True, kw_only=True, gc=False, tag="trade"):
    """One trade as the venue reported it; order (ts, seq nulls last, id).

    Identity is (market, ts, id); where the venue counts its trades one by one, it is the ids from `first` to `last`.
    """

    ts: Micros  # exchange time
    seq: Sequential | None = None  # CCSEQ, else a wholly numeric venue id, else absent
    id: Text
    price: Decimal
    amount: Decimal  # base units
    side: Annotated[int, msgspec.Meta(ge=-1, le=1)] = 0  # taker: 1 buy, -1 sell, 0 unknown
    received_at: Micros  # provider time at receipt
    numbered: bool = False  # `seq` is the provider's own number, one more for each trade that it discovers
    # The venue's consecutive ids that it covers, both ends included: its own, or those of an aggregate. Absent where
    # the venue does not count.
    first: Sequential | None = None
    last: Sequential | None = None


def numbered_id(trade_id: str, number: int) -> str:
    """Return the id of a trade whose own id another trade of the same time has: its number tells them apart."""
    suffix = f"#ccseq:{number}"
    return trade_id if trade_id.endswith(suffix) else f"{trade_id[: MAX_TEXT_LENGTH - len(suffix)]}{suffix}"


class Replayed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The identity of a trade that the provider sent again at the start of a subscription."""

    ts: Micros
    id: Text
    seq: Sequential | None = None


class FeedOpened(_Live, frozen=True, kw_only=True, gc=False, tag="feed_opened"):
    """The subscription is complete; comes after the trades that the provider replayed."""

    connected: Micros  # provider time when the socket opened
    start: Micros  # from here on every trade of the market is carried
    replayed: tuple[Replayed, ...] = ()


class Watermark(_Live, frozen=True, kw_only=True, gc=False, tag="watermark"):
    """Every trade that the provider knew of before `until` comes before this record."""

    start: Micros  # of the span, as the producer knows it
    until: Micros
    # Newest provider stamp received by then. A new span after an end begins here, not at `until`: what was lost may be
    # as young as this.
    seen: Micros | None = None


class FeedClosed(_Live, frozen=True, kw_only=True, gc=False, tag="feed_closed"):
    """The span ends at `stop` (None: nothing was proven); the feed may continue with a new span later."""

    start: Micros
    stop: Micros | None = None
    reason: Text
    code: Text = EndCode.OTHER.value  # the kind of reason; one from a later version may not be known here
    # What the feed claimed from here on is taken back, whichever span claimed it: evidence came later that a trade was
    # lost. None: every claim stays, as in records from before there was this field.
    certain: Micros | None = None


class LastTrade(_Live, frozen=True, kw_only=True, gc=False, tag="last_trade"):
    """The venue says that no trade before `at` has a greater id than `last_id`; 0: it does not know.

    It may be ahead of trades that are still on their way, and late itself. It proves something only beside the trade
    that it names.
    """

    last_id: Sequential
    at: Micros  # the venue's time


LiveRecord = Trade | FeedOpened | Watermark | FeedClosed | LastTrade

_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(LiveRecord).decode
# Deeply nested brackets end in RecursionError, text that is not UTF-8 in UnicodeDecodeError.
_NO_RECORD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(record: LiveRecord) -> bytes:
    """Return the record's JSON."""
    return _encoder.encode(record)


def decode(value: bytes) -> LiveRecord:
    """Return the record in value; raise BadRecord with the reason if there is none."""
    try:
        record: LiveRecord = _decode(value)
    except _NO_RECORD as exc:
        raise BadRecord(str(exc)) from exc
    if refusal := _refusal(record, len(value)):
        raise BadRecord(refusal.detail, code=refusal.code)
    return record


def decode_all(values: Sequence[bytes]) -> list[LiveRecord | BadRecord]:
    """Return each value's record, or why it has none."""
    # Each value is parsed alone: joining them into one array is slower, and lets a broken one spill into the next.
    try:
        records: list[LiveRecord | BadRecord] = list(map(_decode, values))
    except _NO_RECORD:
        return [_decode_or_reason(value) for value in values]
    return records if _all_sound(records, values) else [_decode_or_reason(value) for value in values]


def _decode_or_reason(value: bytes) -> LiveRecord | BadRecord:
    try:
        return decode(value)
    except BadRecord as reason:
        return reason


def _all_sound(records: Sequence[LiveRecord | BadRecord], values: Sequence[bytes]) -> bool:
    """Return whether a batch needs no closer look: the checks of _refusal in their cheapest form."""
    if max(map(len, values), default=0) > MAX_TRADE_BYTES or b"\\u0000" in b"".join(values):
        return False
    trades = [record for record in records if type(record) is Trade]
    if not trades:
        return True
    if not all(map(_ids_are_sound, trades)):
        return False
    prices, amounts = [trade.price for trade in trades], [trade.amount for trade in trades]
    try:
        # The extremes of the batch are enough; an amount of 0 is rare enough for the closer look.
        in_range = min(prices) >= MIN_WIRE and max(prices) <= MAX_WIRE
        return in_range and min(amounts) >= MIN_WIRE and max(amounts) <= MAX_WIRE
    except ArithmeticError:  # NaN has no order
        return False


def _ids_are_sound(trade: Trade) -> bool:
    first, last = trade.first, trade.last
    if first is None or last is None:
        return first is last
    return 0 <= last - first < MAX_IDS and last < MAX_BIGINT  # the next id must be possible too


def _refusal(record: LiveRecord, size: int) -> Refusal | None:
    """Return why a well-formed record cannot be stored: it would make the database refuse its whole batch."""
    if isinstance(record, Trade):
        price, amount = record.price, record.amount
        try:
            possible = MIN_WIRE <= price <= MAX_WIRE and (MIN_WIRE <= amount <= MAX_WIRE or amount == 0)
        except ArithmeticError:
            possible = False
        if not possible:
            return Refusal(RefusalCode.NUMBER, f"price {price:.40g} or amount {amount:.40g} is not possible")
        if not _ids_are_sound(record):
            return Refusal(RefusalCode.NUMBER, ODD_IDS)
        if size > MAX_TRADE_BYTES:
            return Refusal(
                RefusalCode.UNREADABLE, f"a trade of {size:,} bytes, at most {MAX_TRADE_BYTES:,} are possible"
            )

    texts = [record.market, record.feed]
    if isinstance(record, Trade):
        texts.append(record.id)
    elif isinstance(record, FeedOpened):
        texts += [replayed.id for replayed in record.replayed]
    elif isinstance(record, FeedClosed):
        texts += [record.reason, record.code]
    nul = any("\0" in text for text in texts)
    return Refusal(RefusalCode.UNREADABLE, NUL) if nul else None
