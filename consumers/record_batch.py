"""From polled records to what can be stored: pure decoding and checking of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from streaming.broker import Record
from streaming.errors import BadRecord
from streaming.refusals import Refusal, RefusalCode

Ready = TypeVar("Ready")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that goes to the dead letters."""

    record: Record
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Batch(Generic[Ready]):
    """What was polled, sorted: the readable records in the form that the write takes, and the unreadable ones."""

    records: Sequence[Record]
    ready: Ready
    origins: list[Record]  # the readable records as they were polled, in the order of the stream
    unreadable: list[Unreadable]


def read_batch(
    records: Sequence[Record],
    decode: Callable[[Sequence[bytes]], Sequence[Any]],
    prepare: Callable[[list[Any]], Ready],
) -> Batch[Ready]:
    """Decode and check a batch, and prepare it for the write.

    decode: returns for each value its record (which names its market) or a BadRecord. prepare: turns the readable
    records into what the write takes.
    """
    readable: list[Any] = []
    origins: list[Record] = []
    unreadable: list[Unreadable] = []
    for record, found in zip(records, decode([record.value for record in records]), strict=True):
        if isinstance(found, BadRecord):
            unreadable.append(Unreadable(record, found.refusal))
        elif found.market != record.key:
            detail = f"the record of {found.market} lies under the key {record.key}"
            unreadable.append(Unreadable(record, Refusal(RefusalCode.MISPLACED, detail)))
        else:
            readable.append(found)
            origins.append(record)
    return Batch(records, prepare(readable), origins, unreadable)
