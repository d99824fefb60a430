"""From polled records to what can be stored: pure decoding and checking of a live batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from streaming.errors import BadRecord
from streaming.port import Record
from streaming.records import LiveRecord, Trade, decode_all

# Wider than any market, narrow enough that no number can blow up the database.
BIGGEST_EXPONENT = 40
# The database keeps times up to the year 294276; we stop at 2200.
LATEST = 7_258_118_400_000_000


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that goes to the dead letters."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The readable records in the order of the stream, where each came from, and the unreadable ones."""

    live: list[LiveRecord]
    origins: list[Record]  # of each live record
    unreadable: list[Unreadable]


def read_batch(records: Sequence[Record]) -> Batch:
    """Decode and check a batch."""
    batch = Batch([], [], [])
    for record, found in zip(records, decode_all([record.value for record in records]), strict=True):
        reason = str(found) if isinstance(found, BadRecord) else _fault(record, found)
        if reason:
            batch.unreadable.append(Unreadable(record, reason))
        elif not isinstance(found, BadRecord):
            batch.live.append(found)
            batch.origins.append(record)
    return batch


def _fault(record: Record, found: LiveRecord) -> str | None:
    """Return why this record cannot be stored, None where it can."""
    if found.market != record.key:
        return f"the record of {found.market} lies under the key {record.key}"
    if b"\\u0000" in record.value:
        return "a text holds a zero byte"
    return _trade_fault(found) if type(found) is Trade else None


def _trade_fault(trade: Trade) -> str | None:
    if not _plausible(trade.price) or not _plausible(trade.amount):
        return "price or amount is not a plausible number"
    if trade.price <= 0:
        return "the price is not above 0"
    if trade.amount < 0:
        return "the amount is below 0"
    if not (0 < trade.ts < LATEST and 0 < trade.received_at < LATEST):
        return "the trade's time is not plausible"
    return None


def _plausible(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -BIGGEST_EXPONENT and value.adjusted() <= BIGGEST_EXPONENT
