"""Topics on Valkey or Redis (7 or newer) Streams.

One stream per topic, one entry per record (fields k and v). A topic has one active consumer per group, so a group is
only its position: read by XREAD from there, committed by XGROUP SETID, and nothing is kept or acknowledged per record.
Every stream counts what was ever added to it, and every group how many of those it has passed: lag and loss by
retention are differences of these numbers, exact as long as no entry is deleted by hand.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from streaming.broker import Loss, Message, Progress, Record, batch_ranges, check_messages
from streaming.errors import PublishFailed, StreamUnavailable, TopicMissing
from streaming.redis.connection import CommandPart, RedisConnection
from streaming.redis.position import StreamPosition, StreamState
from streaming.redis.scripts import COMMIT, CREATE, OPEN, PUBLISH, STATE, UNREAD
from streaming.topics import checked_name

KEY_PREFIX = "candlekeep:topic:"
MAX_CHUNK_RECORDS = 1000  # sent as one step, all or nothing
MAX_CHUNK_BYTES = 4 * 1024 * 1024
MAX_POLL_WAIT_S = (
    1.0  # seconds one poll blocks at most: a stop is never held, and the answer comes well within its time
)
CHECK_EVERY_S = 1.0  # how often a topic that brings nothing is looked at: it may be gone


def _stream_key(topic: str) -> str:
    return KEY_PREFIX + checked_name(topic)


class RedisBroker:
    """Streams on one server; every role has a connection of its own."""

    shares = False

    def __init__(self, url: str, maxlen: int, answer_s: float | None = None) -> None:
        """Keep at most about maxlen records per topic (a hundred more may stay); raise StreamError for a bad URL.

        answer_s: how long its administration waits for an answer; None: as long as all the others.
        """
        self._url, self._answer_s = url, answer_s
        self._maxlen = maxlen
        RedisConnection(url)  # refuses a wrong URL here and now; it does not connect

    def publisher(self) -> RedisPublisher:
        """Return a new publisher."""
        return RedisPublisher(RedisConnection(self._url), self._maxlen)

    def subscribe(self, group: str, topics: Sequence[str]) -> RedisSubscription:
        """Return a subscription from the group's committed position; raise TopicMissing."""
        connection = RedisConnection(self._url)
        try:
            return RedisSubscription(connection, group, topics)
        except BaseException:
            connection.close()
            raise

    # One active reader per topic and group is all that streams have.
    assign = subscribe

    def admin(self) -> RedisAdmin:
        """Return the topic administration."""
        return RedisAdmin(RedisConnection(self._url, self._answer_s))


class RedisPublisher:
    """Appends records in chunks; a chunk is written whole or not at all."""

    def __init__(self, connection: RedisConnection, maxlen: int) -> None:
        self._connection = connection
        self._maxlen = maxlen

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged; raise PublishFailed, TopicMissing, or BadRecord (then nothing was sent).

        The failed records are always the last ones: after a chunk whose outcome is unknown nothing more is sent, or
        newer records of their keys would overtake it.
        """
        check_messages(messages)
        key = _stream_key(topic)
        for start, stop in batch_ranges(messages, MAX_CHUNK_RECORDS, MAX_CHUNK_BYTES):
            parts = [part for message in messages[start:stop] for part in (message.key, message.value)]
            try:
                newest = self._connection.execute("EVAL", PUBLISH, 1, key, self._maxlen, *parts)
            except StreamUnavailable as exc:
                raise PublishFailed(str(exc), range(start, len(messages))) from exc
            if newest is None:
                raise TopicMissing(f"there is no topic {topic}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class RedisSubscription:
    """Reads streams from a group's position; the group is made if it is missing."""

    def __init__(self, connection: RedisConnection, group: str, topics: Sequence[str]) -> None:
        if not topics or len(set(topics)) < len(topics):
            raise ValueError("a subscription names its topics, each once")
        self._connection = connection
        self._group = group
        keys = [_stream_key(topic) for topic in topics]
        states = connection.execute("EVAL", OPEN, len(keys), *keys, group)
        streams = zip(topics, keys, states, strict=True)
        self._positions = deque(StreamPosition(topic, key, StreamState(*state)) for topic, key, state in streams)
        self._losses: list[Loss] = []
        self._thread_id: int | None = None
        self._is_read = False  # the last poll waited, and nothing came
        self._check_at = 0.0  # monotonic

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` (and MAX_POLL_WAIT_S) seconds; raise StreamLost."""
        self._check_thread()
        deadline = time.monotonic() + min(timeout, MAX_POLL_WAIT_S)
        # What came since a poll that ended with nothing ends the wait at once.
        records = [] if self._is_read and timeout >= 0.01 else self._fetch(limit)
        # Wait for a record of any topic; BLOCK 0 would wait for ever.
        while not records and (milliseconds := int((deadline - time.monotonic()) * 1000)) >= 1:
            self._is_read = not self._connection.execute(
                "XREAD", "COUNT", 1, "BLOCK", milliseconds, *_streams(self._positions)
            )
            if self._is_read:
                self._check_if_due()
                break
            records = self._fetch(limit)
        return records

    def commit(self, records: Sequence[Record]) -> None:
        """Mark these records (in delivery order), and with them all before them, as done; raise StreamLost."""
        self._check_thread()
        last = {record.topic: record.position for record in records}
        streams = {stream.topic: stream for stream in self._positions}
        commits = [commit for topic, position in last.items() if (commit := streams[topic].commit_at(position))]
        if not commits:
            return
        arguments = [part for commit in commits for part in commit.arguments()]
        for commit in commits:
            commit.stream.high = commit.position  # from here on the server may have it, whatever it answers
        keys = [commit.stream.key for commit in commits]
        self._connection.execute("EVAL", COMMIT, len(keys), *keys, self._group, *arguments)
        for commit in commits:
            commit.stream.committed(commit)

    def lag(self) -> int:
        """Return how many records of its topics this group has not committed, counting those that are still there."""
        return sum(self.lags().values())

    def lags(self) -> dict[str, int]:
        """Return the lag of each topic."""
        return {topic: progress.end - progress.done for topic, progress in self.progress().items()}

    def progress(self) -> dict[str, Progress]:
        """Return how far the group is, by topic."""
        self._check_thread()
        states = [StreamState(*state) for state in self._connection.execute(*self._state_command())]
        return {
            stream.topic: Progress(max(state.read, state.trimmed), state.added)
            for stream, state in zip(self._positions, states, strict=True)
        }

    def take_losses(self) -> list[Loss]:
        """Return the losses seen since the last call."""
        self._check_thread()
        losses, self._losses = self._losses, []
        return losses

    def close(self) -> None:
        """Close the connection; nothing is committed."""
        self._connection.close()

    def _check_thread(self) -> None:
        """Refuse a second thread: two of them would take each other's records and answers."""
        thread = threading.get_ident()
        self._thread_id = self._thread_id or thread
        if self._thread_id != thread:
            raise RuntimeError("a subscription belongs to the thread that first used it")

    def _fetch(self, limit: int) -> list[Record]:
        # One busy topic must not starve the others: each gets its share, and a different one comes first each time.
        self._positions.rotate(-1)
        chosen = list(self._positions)[: max(1, limit)]
        share = max(1, limit // len(chosen))
        read: tuple[CommandPart, ...] = ("XREAD", "COUNT", share, *_streams(chosen))
        # One step, so that the counts belong to just these records.
        streams, states = self._connection.transaction(read, self._state_command())
        self._check(states)
        found = {key.decode(): entries for key, entries in streams or ()}
        return [record for stream in chosen for record in stream.take(found.get(stream.key, ()))]

    def _check_if_due(self) -> None:
        """See whether the topics are there, and still at the group's position; raise StreamLost."""
        if time.monotonic() >= self._check_at:
            self._check(self._connection.execute(*self._state_command()))

    def _check(self, states: Sequence[Sequence[Any]]) -> None:
        for stream, state in zip(self._positions, states, strict=True):
            self._losses += stream.check(StreamState(*state))
        self._check_at = time.monotonic() + CHECK_EVERY_S

    def _state_command(self) -> tuple[CommandPart, ...]:
        return ("EVAL", STATE, len(self._positions), *(stream.key for stream in self._positions), self._group)


def _streams(positions: Sequence[StreamPosition]) -> tuple[str, ...]:
    return ("STREAMS", *(stream.key for stream in positions), *(stream.position for stream in positions))


class RedisAdmin:
    """Makes and removes streams."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    def create_topic(self, name: str, partitions: int = 1) -> bool:
        """Make the topic (a stream has no partitions); True if this call created it."""
        return bool(self._connection.execute("EVAL", CREATE, 1, _stream_key(name)))

    def delete_topic(self, name: str) -> bool:
        """Remove the topic with its groups; True if it was there."""
        return bool(self._connection.execute("UNLINK", _stream_key(name)))

    def topics(self) -> set[str]:
        """Return the names of all topics."""
        names: set[str] = set()
        cursor: bytes | None = None
        while cursor != b"0":
            cursor, keys = self._connection.execute(
                "SCAN", cursor or 0, "MATCH", KEY_PREFIX + "*", "COUNT", 10_000, "TYPE", "stream"
            )
            names.update(key.decode().removeprefix(KEY_PREFIX) for key in keys)
        return names

    def unread(self, group: str, topics: Sequence[str], *, shared: bool) -> dict[str, int]:
        """Return by topic how many records the group has not committed; a group is the same however it reads."""
        if not topics:
            return {}
        keys = [_stream_key(topic) for topic in topics]
        found = self._connection.execute("EVAL", UNREAD, len(keys), *keys, group)
        return {topic: left for topic, left in zip(topics, found, strict=True) if left >= 0}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
