"""From polled records to what can be stored: pure decoding and checking of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from streaming.broker import Record
from streaming.errors import BadRecord

Ready = TypeVar("Ready")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that goes to the dead letters."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Batch(Generic[Ready]):
    """What was polled, taken apart: the readable records as the write wants them, and the unreadable ones."""

    records: Sequence[Record]
    ready: Ready
    origins: list[Record]  # of each readable record, in the order of the stream
    unreadable: list[Unreadable]


def read_batch(
    records: Sequence[Record],
    decode: Callable[[Sequence[bytes]], Sequence[Any]],
    prepare: Callable[[list[Any]], Ready],
) -> Batch[Ready]:
    """Decode and check a batch, and take it apart for the write.

    decode: each value's record (it names its market), or a BadRecord. prepare: what the write takes.
    """
    readable: list[Any] = []
    origins: list[Record] = []
    unreadable: list[Unreadable] = []
    for record, found in zip(records, decode([record.value for record in records]), strict=True):
        if isinstance(found, BadRecord):
            unreadable.append(Unreadable(record, str(found)))
        elif found.market != record.key:
            reason = f"the record of {found.market} lies under the key {record.key}"
            unreadable.append(Unreadable(record, reason))
        else:
            readable.append(found)
            origins.append(record)
    return Batch(records, prepare(readable), origins, unreadable)
