"""From polled records to what can be stored: pure decoding and checking of a live batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastore.prepared import Prepared, prepare
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
    live: Prepared
    origins: list[Record]  # of each live record
    unreadable: list[Unreadable]


def read_batch(records: Sequence[Record]) -> Batch:
    """Decode and check a batch, and take it apart for the write."""
    live: list[LiveRecord] = []
    origins: list[Record] = []
    unreadable: list[Unreadable] = []
    for record, found in zip(records, decode_all([record.value for record in records]), strict=True):
        if isinstance(found, BadRecord):
            unreadable.append(Unreadable(record, str(found)))
        elif found.market != record.key:
            reason = f"the record of {found.market} lies under the key {record.key}"
            unreadable.append(Unreadable(record, reason))
        else:
            live.append(found)
            origins.append(record)
    return Batch(records, prepare(live), origins, unreadable)
