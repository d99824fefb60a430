"""How far a group is in one stream: what was delivered, what is committed, what retention took in between."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from streaming.broker import Loss, Record
from streaming.errors import GroupLost


class StreamState(NamedTuple):
    """A stream and a group's position in it, as the scripts answer it."""

    added: int  # records ever
    trimmed: int  # of them gone, the oldest
    newest: bytes  # id of the last one ever added
    position: bytes  # id of the last one committed
    read: int  # how many of the records ever added are at or before position


class PendingCommit(NamedTuple):
    """A commit to be made: the new position, and how many records are at or before it."""

    stream: StreamPosition
    position: str
    read: int

    def arguments(self) -> tuple[str | int, ...]:
        """Return what the commit script takes for one topic."""
        return (self.stream.low, self.stream.high, self.position, self.read)


class _Batch(NamedTuple):
    read: int  # records of the topic at or before the last of these
    positions: list[str]


class StreamPosition:
    """One topic of a subscription."""

    def __init__(self, topic: str, key: str, state: StreamState) -> None:
        """Begin at the committed position."""
        self.topic = topic
        self.key = key
        # The committed position is between these two: they differ while the outcome of a commit is unknown.
        self.low = self.high = self.position = state.position.decode()
        self.read = state.read
        self._batches: deque[_Batch] = deque()

    def check(self, state: StreamState) -> list[Loss]:
        """Return the loss since the last check, if any; raise GroupLost if the position is no longer ours."""
        committed = sort_key(state.position.decode())
        if not sort_key(self.low) <= committed <= sort_key(self.high):
            raise GroupLost(f"another reader moved the group's position in {self.topic}")
        if sort_key(state.newest.decode()) < sort_key(self.position):
            raise GroupLost(f"{self.topic} was created again, or lost its end: it is behind what was read")
        lost = state.trimmed - self.read
        if lost <= 0:
            return []
        self.read = state.trimmed
        return [Loss(self.topic, self.position, lost)]

    def take(self, entries: Sequence[Any]) -> list[Record]:
        """Return the entries as records, and remember them as delivered."""
        if not entries:
            return []
        try:
            records = [
                Record(self.topic, key.decode(), value, position.decode()) for position, (_, key, _, value) in entries
            ]
        except ValueError:  # an entry of another program is among them: other fields, or a key that is not text
            records = [_record_of_any(self.topic, position, fields) for position, fields in entries]
        self.position = records[-1].position
        self.read += len(records)
        self._batches.append(_Batch(self.read, [record.position for record in records]))
        return records

    def commit_at(self, position: str) -> PendingCommit | None:
        """Return the commit up to this position, None if it is done; raise ValueError if it was not delivered."""
        wanted = sort_key(position)
        if wanted <= sort_key(self.low):
            return None
        for read, positions in self._batches:
            if wanted <= sort_key(positions[-1]):
                index = bisect_left(positions, wanted, key=sort_key)
                if positions[index] == position:
                    return PendingCommit(self, position, read - len(positions) + index + 1)
                break
        raise ValueError(f"{position} of {self.topic} was not delivered by this subscription")

    def committed(self, commit: PendingCommit) -> None:
        """Forget what the commit covers."""
        self.low = self.high = commit.position
        while self._batches and self._batches[0].read <= commit.read:
            self._batches.popleft()


def sort_key(position: str) -> tuple[int, int]:
    """Return an entry's id (milliseconds-number) in a form that sorts."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


def _record_of_any(topic: str, position: bytes, fields: list[bytes]) -> Record:
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    # A foreign entry keeps all its bytes: its value is not JSON, so it ends among the dead letters.
    value = found.get(b"v") if len(found) == 2 else None
    return Record(topic, found.get(b"k", b"").decode(errors="replace"), value or b" ".join(fields), position.decode())
