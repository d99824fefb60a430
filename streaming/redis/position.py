"""Where a group stands in one stream: what was delivered, what is committed, what retention took in between."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from streaming.broker import Loss, Record
from streaming.errors import GroupLost


class State(NamedTuple):
    """A stream and a group's place in it, as the scripts answer it."""

    added: int  # records ever
    trimmed: int  # of them gone, the oldest
    newest: bytes  # id of the last one ever added
    position: bytes  # id of the last one committed
    read: int  # how many of the records ever added lie at or before position


class Move(NamedTuple):
    """A commit to be made: the new position and how many records lie at or before it."""

    place: Position
    position: str
    read: int

    def arguments(self) -> tuple[str | int, ...]:
        """Return what the commit script takes for one topic."""
        return (self.place.low, self.place.high, self.position, self.read)


class _Batch(NamedTuple):
    read: int  # records of the topic at or before the last of these
    positions: list[str]


class Position:
    """One topic of a subscription."""

    def __init__(self, topic: str, key: str, state: State) -> None:
        self.topic = topic
        self.key = key
        # The committed position lies between these two: they differ while the outcome of a commit is unknown.
        self.low = self.high = self.position = state.position.decode()
        self.read = state.read
        self._batches: deque[_Batch] = deque()

    def look(self, state: State) -> list[Loss]:
        """Return the loss since the last look, if any. Raises GroupLost where the position is no longer ours."""
        committed = order(state.position.decode())
        if not order(self.low) <= committed <= order(self.high):
            raise GroupLost(f"somebody else moved the group's position in {self.topic}")
        if order(state.newest.decode()) < order(self.position):
            raise GroupLost(f"{self.topic} was made anew, or lost its end: it is behind what was read")
        lost = state.trimmed - self.read
        if lost <= 0:
            return []
        self.read = state.trimmed
        return [Loss(self.topic, self.position, lost)]

    def take(self, entries: Sequence[Any]) -> list[Record]:
        """Return the entries as records, and remember them as delivered."""
        if not entries:
            return []
        records = _records(self.topic, entries)
        self.position = records[-1].position
        self.read += len(records)
        self._batches.append(_Batch(self.read, [record.position for record in records]))
        return records

    def move(self, position: str) -> Move | None:
        """Return the commit up to this position, None where it is done. Raises ValueError if it was not delivered."""
        wanted = order(position)
        if wanted <= order(self.low):
            return None
        for read, positions in self._batches:
            if wanted <= order(positions[-1]):
                index = bisect_left(positions, wanted, key=order)
                if positions[index] == position:
                    return Move(self, position, read - len(positions) + index + 1)
                break
        raise ValueError(f"{position} of {self.topic} was not delivered by this subscription")

    def moved(self, move: Move) -> None:
        """Forget what the commit covers."""
        self.low = self.high = move.position
        while self._batches and self._batches[0].read <= move.read:
            self._batches.popleft()


def order(position: str) -> tuple[int, int]:
    """Return an entry's id (milliseconds-number) in a form that sorts."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


def _records(topic: str, entries: Sequence[Any]) -> list[Record]:
    try:
        return [Record(topic, key.decode(), value, position.decode()) for position, (_, key, _, value) in entries]
    except ValueError:  # somebody else's entry is among them: other fields, or a key that is no text
        return [_record(topic, position, fields) for position, fields in entries]


def _record(topic: str, position: bytes, fields: list[bytes]) -> Record:
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    # A foreign entry goes on with all its bytes: its value is no JSON, so it ends in the dead letters.
    value = found.get(b"v") if len(found) == 2 else None
    return Record(topic, found.get(b"k", b"").decode(errors="replace"), value or b" ".join(fields), position.decode())
