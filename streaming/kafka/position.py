"""Where a group stands in one partition: what comes next, what is committed, what retention took in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streaming.broker import Loss, Record


class Position:
    """One partition that a subscription reads. An offset always names the next record."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        """Begin at the committed offset."""
        self.topic = topic
        self.partition = partition
        self.next = offset  # to be delivered
        # The committed offset lies between these two: they differ while the outcome of a commit is unknown.
        self.done = self.asked = offset

    def take(self, found: Iterable[Any], delivered: int, losses: list[Loss]) -> list[Record]:
        """Return what was read as records, and note what is missing between them.

        delivered: the offset behind the last record that was ever given out here. What comes again after that, since
        it was not committed, is no loss where it does not come.
        """
        records = []
        expected = max(self.next, delivered)
        for one in found:
            if one.offset > expected:
                losses.append(Loss(self.topic, self._position(expected - 1), one.offset - expected))
            expected, self.next = max(expected, one.offset + 1), one.offset + 1
            key = one.key.decode(errors="replace") if one.key else ""
            records.append(Record(self.topic, key, one.value or b"", self._position(one.offset)))
        return records

    def _position(self, offset: int) -> str:
        return f"{self.partition}:{offset}"


def parse(position: str) -> tuple[int, int]:
    """Return the partition and offset of a record's position."""
    partition, _, offset = position.partition(":")
    return int(partition), int(offset)
