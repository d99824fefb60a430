"""From polled records to what can be stored: pure decoding and checking of a live batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streaming.errors import BadRecord
from streaming.port import Record
from streaming.records import LiveRecord, decode_all


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that goes to the dead letters."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What was polled, taken apart: the readable records in the order of the stream, and the unreadable ones."""

    records: Sequence[Record]
    live: list[LiveRecord]
    origins: list[Record]  # of each live record
    unreadable: list[Unreadable]


def read_batch(records: Sequence[Record]) -> Batch:
    """Decode and check a batch."""
    batch = Batch(records, [], [], [])
    for record, found in zip(records, decode_all([record.value for record in records]), strict=True):
        reason = str(found) if isinstance(found, BadRecord) else _fault(record, found)
        if reason:
            batch.unreadable.append(Unreadable(record, reason))
        elif not isinstance(found, BadRecord):
            batch.live.append(found)
            batch.origins.append(record)
    return batch


def _fault(record: Record, found: LiveRecord) -> str | None:
    """Return why a readable record is not where it belongs; the datastore has its own bounds for trades."""
    return None if found.market == record.key else f"the record of {found.market} lies under the key {record.key}"
