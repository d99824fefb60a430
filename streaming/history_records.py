"""The typed records of candle-data: the provider's own candles, and what its answers prove.

Times are whole microseconds since 1970 UTC, prices and sizes exact decimals as the provider's JSON spells them. Every
record belongs to a request (a FetchRequest); a page's candles come first, then the span that they prove.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from streaming.bounds import MAX_BIGINT
from streaming.errors import BadRecord
from streaming.records import NUL, VERSION, Micros, Text

Resolution = Annotated[int, msgspec.Meta(ge=60, le=86_400)]  # seconds: 60, 3600 or 86400
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_BIGINT)]


class _History(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    market: Text  # exchange:BASE-QUOTE
    request: Count  # the FetchRequest it answers
    v: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)] = VERSION


class ProviderCandle(_History, frozen=True, kw_only=True, gc=False, tag="provider_candle"):
    """One final candle of a bucket that was not quiet. The open may lie outside low and high (a prior close)."""

    resolution: Resolution
    open_time: Micros
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal  # base units; 0 where the provider rounds it away, or gives prices without it
    quote_volume: Decimal | None  # None: the provider does not give it


class ProviderSpan(_History, frozen=True, kw_only=True, gc=False, tag="provider_span"):
    """The provider has answered for every bucket of [start, stop): it says that those without a candle saw no trade."""

    resolution: Resolution
    start: Micros
    stop: Micros
    page: Count  # from 1, the newest first
    pages: Count
    zeros: tuple[Micros, ...] = ()  # buckets answered with prices of 0: no trade, or the provider lost them
    # How many candles the page holds: if fewer have arrived, the topic lost some, and nothing is proven.
    candles: Count | None = None


class FetchDone(_History, frozen=True, kw_only=True, gc=False, tag="fetch_done"):
    """Every page of the request comes before this record."""


class FetchFailed(_History, frozen=True, kw_only=True, gc=False, tag="fetch_failed"):
    """The request will not be answered; final: asking again for [start, stop) is useless."""

    resolution: Resolution
    start: Micros
    stop: Micros
    reason: Text
    final: bool


HistoryRecord = ProviderCandle | ProviderSpan | FetchDone | FetchFailed

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(HistoryRecord)


def encode_history(record: HistoryRecord) -> bytes:
    """Return the record's JSON."""
    return _encoder.encode(record)


def decode_history(values: Sequence[bytes]) -> list[HistoryRecord | BadRecord]:
    """Return each value's record, or why it has none."""
    return [_decode(value) for value in values]


def _decode(value: bytes) -> HistoryRecord | BadRecord:
    try:
        record: HistoryRecord = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        return BadRecord(str(exc))
    return BadRecord(NUL) if b"\\u0000" in value else record
