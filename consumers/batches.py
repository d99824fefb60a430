"""From polled records to what can be stored: pure decoding and checking of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from streaming.errors import BadRecord
from streaming.history import HistoryRecord
from streaming.port import Record
from streaming.records import LiveRecord

Kept = TypeVar("Kept", bound=LiveRecord | HistoryRecord)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that goes to the dead letters."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Batch(Generic[Kept]):
    """What was polled, taken apart: the readable records in the order of the stream, and the unreadable ones."""

    records: Sequence[Record]
    readable: list[Kept]
    origins: list[Record]  # of each readable record
    unreadable: list[Unreadable]


def read_batch(
    records: Sequence[Record], decode: Callable[[Sequence[bytes]], Sequence[Kept | BadRecord]]
) -> Batch[Kept]:
    """Decode and check a batch."""
    batch: Batch[Kept] = Batch(records, [], [], [])
    for record, found in zip(records, decode([record.value for record in records]), strict=True):
        reason = str(found) if isinstance(found, BadRecord) else _fault(record, found)
        if reason:
            batch.unreadable.append(Unreadable(record, reason))
        elif not isinstance(found, BadRecord):
            batch.readable.append(found)
            batch.origins.append(record)
    return batch


def _fault(record: Record, found: LiveRecord | HistoryRecord) -> str | None:
    """Return why a readable record is not where it belongs; the datastore has its own bounds for numbers."""
    return None if found.market == record.key else f"the record of {found.market} lies under the key {record.key}"
