"""The delivery contract in one process, for unit tests: no server, and faults on request.

The product has no such broker; register() adds it to the factory as memory://name.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from streaming.broker import Broker, Loss, Message, Progress, Record, check_messages
from streaming.broker_factory import ADAPTERS
from streaming.errors import GroupLost, PublishFailed, StreamError, StreamUnavailable, TopicMissing
from streaming.kafka_settings import KafkaAccess
from streaming.topics import checked_name


@dataclass(slots=True)
class _Log:
    """One topic: its records, how many went before the first of them, and each group's count of done ones."""

    records: list[Record] = field(default_factory=list)
    trimmed: int = 0
    groups: dict[str, int] = field(default_factory=dict)

    @property
    def added(self) -> int:
        return self.trimmed + len(self.records)

    def trim(self, count: int) -> None:
        """Remove the oldest records, so that `count` ever added are gone."""
        if count > self.trimmed:
            del self.records[: count - self.trimmed]
            self.trimmed = count


class MemoryBroker:
    """Topics in this process. A position is the record's number in its topic, from 1."""

    shares = False

    _named: ClassVar[dict[str, MemoryBroker]] = {}

    def __init__(self, maxlen: int) -> None:
        """Keep at most maxlen records per topic."""
        self.maxlen = maxlen
        self._logs: dict[str, _Log] = {}
        self._changed = threading.Condition(threading.RLock())
        self._away: str | None = None
        self._room: int | None = None  # records it still takes

    @classmethod
    def named(cls, name: str, maxlen: int) -> MemoryBroker:
        """Return the process's broker of this name; the first call makes it and sets maxlen."""
        return cls._named.setdefault(name, cls(maxlen))

    @classmethod
    def forget(cls, name: str) -> None:
        """Drop a named broker with all it holds."""
        cls._named.pop(name, None)

    def publisher(self) -> MemoryPublisher:
        """Return a new publisher."""
        return MemoryPublisher(self)

    def subscribe(self, group: str, topics: Sequence[str]) -> MemorySubscription:
        """Return a subscription from the group's committed position. Raises TopicMissing."""
        return MemorySubscription(self, group, topics)

    assign = subscribe  # one process, and no partitions

    def admin(self) -> MemoryAdmin:
        """Return the topic administration."""
        return MemoryAdmin(self)

    # What a test may do to it.

    def go_away(self, reason: str = "the broker is away") -> None:
        """Raise StreamUnavailable from every call until come_back()."""
        with self._changed:
            self._away = reason
            self._changed.notify_all()

    def come_back(self) -> None:
        """End go_away() and fill_up()."""
        with self._changed:
            self._away = self._room = None

    def fill_up(self, room: int = 0) -> None:
        """Take `room` more records, then refuse until come_back()."""
        with self._changed:
            self._room = room

    def lose_group(self, topic: str, group: str) -> None:
        """Forget the group of this topic, and with it the position."""
        with self._changed:
            del self._logs[topic].groups[group]

    def lose_everything(self) -> None:
        """Forget all topics and groups."""
        with self._changed:
            self._logs.clear()

    # What the roles share; each is called with the lock held.

    def log(self, topic: str) -> _Log:
        """Return the topic's log. Raises TopicMissing, StreamUnavailable."""
        self.answer()
        if topic not in self._logs:
            raise TopicMissing(f"there is no topic {topic}")
        return self._logs[topic]

    def answer(self) -> None:
        """Raise StreamUnavailable while the broker is away."""
        if self._away:
            raise StreamUnavailable(self._away)

    def append(self, topic: str, message: Message) -> bool:
        """Add one record; False if there is no room."""
        log = self.log(topic)
        if self._room is not None:
            if not self._room:
                return False
            self._room -= 1
        log.records.append(Record(topic, message.key, message.value, str(log.added + 1)))
        log.trim(log.added - self.maxlen)
        return True


class MemoryPublisher:
    """Appends to the logs."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when all are taken. Raises PublishFailed, TopicMissing, BadRecord (nothing was sent)."""
        check_messages(messages)
        with self._broker._changed:
            self._broker._changed.notify_all()
            try:
                self._broker.log(checked_name(topic))
            except StreamUnavailable as exc:
                raise PublishFailed(str(exc), range(len(messages))) from exc
            for index, message in enumerate(messages):
                if not self._broker.append(topic, message):
                    raise PublishFailed("the broker is full", range(index, len(messages)))

    def close(self) -> None:
        """Give nothing back: there is no connection."""


class MemorySubscription:
    """Reads logs from the group's position; the group is made where it is missing."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        if not topics or len(set(topics)) < len(topics):
            raise ValueError("a subscription names its topics, each once")
        self._broker = broker
        self._group = group
        self._losses: list[Loss] = []
        self._thread_id: int | None = None
        with broker._changed:
            logs = {topic: broker.log(checked_name(topic)) for topic in topics}
            self._read = {topic: log.groups.setdefault(group, log.trimmed) for topic, log in logs.items()}
        self._committed = dict(self._read)

    def poll(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` seconds for the first. Raises StreamLost."""
        self._own()
        with self._broker._changed:
            self._broker._changed.wait_for(self._ready, timeout)
            records: list[Record] = []
            for topic in self._read:
                records += self._take(topic, limit - len(records))
            return records

    def commit(self, records: Sequence[Record]) -> None:
        """Mark these records (in delivery order), and with them all before them, as done. Raises StreamLost."""
        self._own()
        last = {record.topic: int(record.position) for record in records}
        for topic, position in last.items():
            if position > self._read[topic]:
                raise ValueError(f"{position} of {topic} was not delivered by this subscription")
        with self._broker._changed:
            logs = {topic: self._log(topic) for topic in last}
            for topic, log in logs.items():
                self._committed[topic] = log.groups[self._group] = max(log.groups[self._group], last[topic])
                log.trim(min(log.groups.values()))

    def lag(self) -> int:
        """Return how many records of its topics this group has not committed, those that are still there."""
        return sum(self.lags().values())

    def lags(self) -> dict[str, int]:
        """Return the same of each topic apart."""
        return {topic: stand.end - stand.done for topic, stand in self.progress().items()}

    def progress(self) -> dict[str, Progress]:
        """Return how far the group is, by topic."""
        self._own()
        with self._broker._changed:
            logs = {topic: self._log(topic) for topic in self._read}
            dones = (max(log.trimmed, log.groups[self._group]) for log in logs.values())
            return {topic: Progress(done, logs[topic].added) for topic, done in zip(logs, dones, strict=True)}

    def take_losses(self) -> list[Loss]:
        """Return the losses seen since the last call."""
        self._own()
        losses, self._losses = self._losses, []
        return losses

    def close(self) -> None:
        """Give nothing back: there is no connection."""

    def _own(self) -> None:
        thread = threading.get_ident()
        self._thread_id = self._thread_id or thread
        if self._thread_id != thread:
            raise RuntimeError("a subscription belongs to the thread that first used it")

    def _log(self, topic: str) -> _Log:
        log = self._broker.log(topic)
        if self._group not in log.groups:
            raise GroupLost(f"there is no group {self._group} of {topic}")
        if log.groups[self._group] != self._committed[topic] or log.added < self._read[topic]:
            raise GroupLost(f"someone else moved the position of {self._group} in {topic}")
        return log

    def _ready(self) -> bool:
        return any(self._log(topic).added > read for topic, read in self._read.items())

    def _take(self, topic: str, limit: int) -> list[Record]:
        log, read = self._log(topic), self._read[topic]
        if log.trimmed > read:
            self._losses.append(Loss(topic, str(read), log.trimmed - read))
            read = log.trimmed
        records = log.records[read - log.trimmed :][:limit]
        self._read[topic] = read + len(records)
        return records


class MemoryAdmin:
    """Makes and removes logs."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def create_topic(self, name: str, partitions: int = 1) -> bool:
        """Make the topic (without partitions); True if this call created it."""
        with self._broker._changed:
            self._broker.answer()
            new = checked_name(name) not in self._broker._logs
            self._broker._logs.setdefault(name, _Log())
            return new

    def delete_topic(self, name: str) -> bool:
        """Remove the topic with its groups; True if it was there."""
        with self._broker._changed:
            self._broker.answer()
            return self._broker._logs.pop(checked_name(name), None) is not None

    def topics(self) -> set[str]:
        """Return the names of all topics."""
        with self._broker._changed:
            self._broker.answer()
            return set(self._broker._logs)

    def unread(self, group: str, topics: Sequence[str], *, shared: bool) -> dict[str, int]:
        """Return by topic how many records the group has not committed; changes nothing."""
        with self._broker._changed:
            self._broker.answer()
            logs = {topic: self._broker._logs[topic] for topic in topics if topic in self._broker._logs}
            return {topic: log.added - max(log.trimmed, log.groups.get(group, 0)) for topic, log in logs.items()}

    def close(self) -> None:
        """Give nothing back: there is no connection."""


def _connect(url: str, maxlen: int, kafka: KafkaAccess, answer_s: float | None) -> Broker:
    name = urlsplit(url).netloc
    if not name:
        raise StreamError("a STREAM_URL of this kind has a name: memory://name")
    return MemoryBroker.named(name, maxlen)


def register() -> None:
    """Let streaming.broker_factory.connect take memory://name: one broker of that name in this process."""
    ADAPTERS["memory"] = _connect
