"""Topics on Valkey or Redis (7 or newer) Streams.

One stream per topic, one entry per record (fields k and v). A topic has one active consumer per group, so a group is
only its position: read by XREAD from there, committed by XGROUP SETID, and nothing is kept or acknowledged per record.
Every stream counts what was ever added to it, and every group how many of those lie behind it: lag and loss by
retention are differences of these numbers, exact while nobody deletes entries by hand.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

from streaming.broker import Loss, Message, Progress, Record, check_messages, runs
from streaming.errors import PublishFailed, StreamUnavailable, TopicMissing
from streaming.redis.connection import Part, RedisConnection
from streaming.redis.position import Position, State
from streaming.redis.scripts import COMMIT, CREATE, LOOK, OPEN, PUBLISH
from streaming.topics import legal

PREFIX = "candlekeep:topic:"
CHUNK_RECORDS = 1000  # sent as one step, all or nothing
CHUNK_BYTES = 4 * 1024 * 1024
LONGEST_WAIT = 1.0  # seconds one poll blocks at most: a stop is never held, and the answer comes well within its time


def _key(topic: str) -> str:
    return PREFIX + legal(topic)


class RedisBroker:
    """Streams on one server; every role has a connection of its own."""

    shares = False

    def __init__(self, url: str, maxlen: int) -> None:
        """Keep at most about maxlen records per topic (a hundred more may stay). Raises StreamError for a bad URL."""
        self._url = url
        self._maxlen = maxlen
        RedisConnection(url)  # refuses a wrong URL here and now; it does not connect

    def publisher(self) -> RedisPublisher:
        """Return a new publisher."""
        return RedisPublisher(RedisConnection(self._url), self._maxlen)

    def subscribe(self, group: str, topics: Sequence[str]) -> RedisSubscription:
        """Return a subscription from the group's committed position. Raises TopicMissing."""
        link = RedisConnection(self._url)
        try:
            return RedisSubscription(link, group, topics)
        except BaseException:
            link.close()
            raise

    # One active reader per topic and group is all that streams have.
    assign = subscribe

    def admin(self) -> RedisAdmin:
        """Return the topic administration."""
        return RedisAdmin(RedisConnection(self._url))


class RedisPublisher:
    """Appends records in chunks; a chunk is written whole or not at all."""

    def __init__(self, link: RedisConnection, maxlen: int) -> None:
        self._link = link
        self._maxlen = maxlen

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged. Raises PublishFailed, TopicMissing, BadRecord (nothing was sent).

        The failed records are always the last ones: behind a chunk whose fate is unknown nothing more is sent, or
        its records would be overtaken by newer ones of their keys.
        """
        check_messages(messages)
        key = _key(topic)
        for start, stop in runs(messages, CHUNK_RECORDS, CHUNK_BYTES):
            parts = [part for message in messages[start:stop] for part in (message.key, message.value)]
            try:
                newest = self._link.ask("EVAL", PUBLISH, 1, key, self._maxlen, *parts)
            except StreamUnavailable as exc:
                raise PublishFailed(str(exc), range(start, len(messages))) from exc
            if newest is None:
                raise TopicMissing(f"there is no topic {topic}")

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()


class RedisSubscription:
    """Reads streams from a group's position; the group is made where it is missing."""

    def __init__(self, link: RedisConnection, group: str, topics: Sequence[str]) -> None:
        if not topics or len(set(topics)) < len(topics):
            raise ValueError("a subscription names its topics, each once")
        self._link = link
        self._group = group
        keys = [_key(topic) for topic in topics]
        states = link.ask("EVAL", OPEN, len(keys), *keys, group)
        places = zip(topics, keys, states, strict=True)
        self._places = deque(Position(topic, key, State(*state)) for topic, key, state in places)
        self._losses: list[Loss] = []
        self._owner: int | None = None

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` (and LONGEST_WAIT) seconds. Raises StreamLost."""
        self._own()
        deadline = time.monotonic() + min(timeout, LONGEST_WAIT)
        records = self._fetch(limit)
        while not records and self._wait(deadline):
            records = self._fetch(limit)
        return records

    def commit(self, records: Sequence[Record]) -> None:
        """Mark these records (in delivery order), and with them all before them, as done. Raises StreamLost."""
        self._own()
        last = {record.topic: record.position for record in records}
        places = {place.topic: place for place in self._places}
        moves = [move for topic, position in last.items() if (move := places[topic].move(position))]
        if not moves:
            return
        arguments = [part for move in moves for part in move.arguments()]
        for move in moves:
            move.place.high = move.position  # from here on the server may have it, whatever we hear
        keys = [move.place.key for move in moves]
        self._link.ask("EVAL", COMMIT, len(keys), *keys, self._group, *arguments)
        for move in moves:
            move.place.moved(move)

    def lag(self) -> int:
        """Return how many records of its topics this group has not committed, those that are still there."""
        return sum(self.lags().values())

    def lags(self) -> dict[str, int]:
        """Return the same of each topic apart."""
        return {topic: stand.end - stand.done for topic, stand in self.progress().items()}

    def progress(self) -> dict[str, Progress]:
        """Return how far the group is, by topic."""
        self._own()
        states = (State(*state) for state in self._link.ask(*self._look()))
        stands = (Progress(max(state.read, state.trimmed), state.added) for state in states)
        return {place.topic: stand for place, stand in zip(self._places, stands, strict=True)}

    def take_losses(self) -> list[Loss]:
        """Return the losses seen since the last call."""
        self._own()
        losses, self._losses = self._losses, []
        return losses

    def close(self) -> None:
        """Give the connection back; nothing is committed."""
        self._link.close()

    def _own(self) -> None:
        """Refuse a second thread: two of them would take each other's records and answers."""
        thread = threading.get_ident()
        self._owner = self._owner or thread
        if self._owner != thread:
            raise RuntimeError("a subscription belongs to the thread that first used it")

    def _fetch(self, limit: int) -> list[Record]:
        # One busy topic must not starve the others: each gets its share, and a different one comes first each time.
        self._places.rotate(-1)
        chosen = list(self._places)[: max(1, limit)]
        share = max(1, limit // len(chosen))
        read: tuple[Part, ...] = ("XREAD", "COUNT", share, *_streams(chosen))
        # One step, so that the counts belong to just these records.
        streams, states = self._link.transaction(read, self._look())
        for place, state in zip(self._places, states, strict=True):
            self._losses += place.look(State(*state))
        found = {key.decode(): entries for key, entries in streams or ()}
        return [record for place in chosen for record in place.take(found.get(place.key, ()))]

    def _look(self) -> tuple[Part, ...]:
        return ("EVAL", LOOK, len(self._places), *(place.key for place in self._places), self._group)

    def _wait(self, deadline: float) -> bool:
        """Wait for a record of any topic until the deadline; True if there is one."""
        milliseconds = int((deadline - time.monotonic()) * 1000)
        if milliseconds < 1:  # and BLOCK 0 would wait for ever
            return False
        return bool(self._link.ask("XREAD", "COUNT", 1, "BLOCK", milliseconds, *_streams(self._places)))


def _streams(places: Iterable[Position]) -> tuple[str, ...]:
    places = list(places)
    return ("STREAMS", *(place.key for place in places), *(place.position for place in places))


class RedisAdmin:
    """Makes and removes streams."""

    def __init__(self, link: RedisConnection) -> None:
        self._link = link

    def create_topic(self, name: str, partitions: int = 1) -> bool:
        """Make the topic (a stream has no partitions); True if this call created it."""
        return bool(self._link.ask("EVAL", CREATE, 1, _key(name)))

    def delete_topic(self, name: str) -> bool:
        """Remove the topic with its groups; True if it was there."""
        return bool(self._link.ask("UNLINK", _key(name)))

    def topics(self) -> set[str]:
        """Return the names of all topics."""
        names: set[str] = set()
        cursor: bytes | None = None
        while cursor != b"0":
            cursor, keys = self._link.ask("SCAN", cursor or 0, "MATCH", PREFIX + "*", "COUNT", 10_000, "TYPE", "stream")
            names.update(key.decode().removeprefix(PREFIX) for key in keys)
        return names

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()
