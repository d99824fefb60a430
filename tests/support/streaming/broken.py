"""Adapters that each break one point of the delivery contract, to prove that the suite sees it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from streaming.broker import Loss, Message, Progress, Record, check_messages
from streaming.errors import GroupLost, PublishFailed, StreamUnavailable
from tests.support.streaming.memory import MemoryAdmin, MemoryBroker, MemoryPublisher, MemorySubscription


class _Reading(MemoryBroker):
    """A memory broker with another subscription."""

    subscription: type[MemorySubscription]

    def subscribe(self, group: str, topics: Sequence[str]) -> MemorySubscription:
        return self.subscription(self, group, topics)


class _Writing(MemoryBroker):
    """A memory broker with another publisher."""

    writer: type[MemoryPublisher]

    def publisher(self) -> MemoryPublisher:
        return self.writer(self)


class Reorders(_Reading):
    class subscription(MemorySubscription):
        def poll(self, timeout: float, limit: int) -> list[Record]:
            records = super().poll(timeout, limit)
            # The last one stays, so that only the order is wrong and not what a commit of the batch covers.
            return records[-2::-1] + records[-1:]


class DropsLargeRecords(_Writing):
    class writer(MemoryPublisher):
        def publish(self, topic: str, messages: Sequence[Message]) -> None:
            check_messages(messages)
            super().publish(topic, [message for message in messages if len(message.value) < 256 * 1024])


class ForgetsAfterRestart(_Reading):
    class subscription(MemorySubscription):
        def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
            super().__init__(broker, group, topics)
            for topic in topics:
                log = broker.log(topic)
                self._read[topic] = self._committed[topic] = log.groups[group] = log.trimmed


class AcknowledgesEarly(_Reading):
    class subscription(MemorySubscription):
        def poll(self, timeout: float, limit: int) -> list[Record]:
            records = super().poll(timeout, limit)
            for topic, read in self._read.items():
                self._log(topic).groups[self._group] = read
                self._committed[topic] = read
            return records


class StartsAtTheEnd(_Reading):
    class subscription(MemorySubscription):
        def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
            for topic in topics:
                log = broker.log(topic)
                log.groups.setdefault(group, log.added)
            super().__init__(broker, group, topics)


class ReturnsLate(_Reading):
    class subscription(MemorySubscription):
        def poll(self, timeout: float, limit: int) -> list[Record]:
            records = super().poll(timeout, limit)
            if not records:
                threading.Event().wait(4 * timeout)
            return records


class SkipsTrimmedSilently(_Reading):
    class subscription(MemorySubscription):
        def take_losses(self) -> list[Loss]:
            super().take_losses()
            return []


class NamesALossAgain(_Reading):
    class subscription(MemorySubscription):
        def take_losses(self) -> list[Loss]:
            self._own()
            return list(self._losses)


class CountsTrimmedAsLag(_Reading):
    class subscription(MemorySubscription):
        def lag(self) -> int:
            with self._broker._changed:
                return sum(self._log(topic).added - self._committed[topic] for topic in self._read)


class RetriesForEver(_Reading):
    class subscription(MemorySubscription):
        def poll(self, timeout: float, limit: int) -> list[Record]:
            try:
                return super().poll(timeout, limit)
            except GroupLost:
                return []


class ReturnsBeforeTheAnswer(_Writing):
    class writer(MemoryPublisher):
        def publish(self, topic: str, messages: Sequence[Message]) -> None:
            try:
                super().publish(topic, messages)
            except PublishFailed:
                return


class FailsWithoutNames(_Writing):
    class writer(MemoryPublisher):
        def publish(self, topic: str, messages: Sequence[Message]) -> None:
            try:
                super().publish(topic, messages)
            except PublishFailed as exc:
                raise StreamUnavailable("something failed") from exc


class NamesTooFew(_Writing):
    class writer(MemoryPublisher):
        def publish(self, topic: str, messages: Sequence[Message]) -> None:
            try:
                super().publish(topic, messages)
            except PublishFailed as exc:
                raise PublishFailed(str(exc), exc.failed[:1]) from exc


class SendsBeforeItChecks(_Writing):
    class writer(MemoryPublisher):
        def publish(self, topic: str, messages: Sequence[Message]) -> None:
            if len(messages) == 3:
                super().publish(topic, messages[:2])
            super().publish(topic, messages)


class AlwaysSaysCreated(MemoryBroker):
    class _Admin(MemoryAdmin):
        def create_topic(self, name: str, partitions: int = 1) -> bool:
            super().create_topic(name, partitions)
            return True

    def admin(self) -> MemoryAdmin:
        return self._Admin(self)


class EmptiesWhatItCreatesAgain(MemoryBroker):
    class _Admin(MemoryAdmin):
        def create_topic(self, name: str, partitions: int = 1) -> bool:
            there = self.delete_topic(name)
            super().create_topic(name, partitions)
            return not there

    def admin(self) -> MemoryAdmin:
        return self._Admin(self)


class SharedByThreads(_Reading):
    class subscription(MemorySubscription):
        def _own(self) -> None:
            self._thread_id = None


class ReadsUnnamedTopics(_Reading):
    class subscription(MemorySubscription):
        def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
            super().__init__(broker, group, topics)
            if len(broker._logs) > len(topics):
                super().__init__(broker, group, sorted(broker._logs))


class TakesWhatItReadForDone(_Reading):
    class subscription(MemorySubscription):
        def progress(self) -> dict[str, Progress]:
            return {topic: stand._replace(done=self._read[topic]) for topic, stand in super().progress().items()}


class BeginsTheGroupItIsAskedAbout(MemoryBroker):
    class _Admin(MemoryAdmin):
        def unread(self, group: str, topics: Sequence[str], *, shared: bool) -> dict[str, int]:
            for topic in topics:
                if topic in self._broker._logs:
                    MemorySubscription(self._broker, group, [topic])
            return super().unread(group, topics, shared=shared)

    def admin(self) -> MemoryAdmin:
        return self._Admin(self)


class Broken(NamedTuple):
    """A broken adapter, the point it breaks, and those that cannot hold without it."""

    point: int
    adapter: type[MemoryBroker]
    also: frozenset[int] = frozenset()


BROKEN = [
    Broken(1, Reorders, also=frozenset({6, 11})),  # a commit covers what lies before in the log
    Broken(2, DropsLargeRecords),
    Broken(3, ForgetsAfterRestart, also=frozenset({11})),  # an onlooker is one that has just started
    Broken(3, AcknowledgesEarly, also=frozenset({6, 11, 12})),  # lag, progress and unread count from the commit
    Broken(4, StartsAtTheEnd),
    Broken(5, ReturnsLate),
    Broken(6, SkipsTrimmedSilently),
    Broken(6, NamesALossAgain),
    Broken(6, CountsTrimmedAsLag),
    Broken(7, RetriesForEver),
    Broken(8, ReturnsBeforeTheAnswer),
    Broken(8, FailsWithoutNames),
    Broken(8, NamesTooFew),
    Broken(8, SendsBeforeItChecks),
    Broken(9, AlwaysSaysCreated),
    Broken(9, EmptiesWhatItCreatesAgain),
    Broken(10, SharedByThreads),
    Broken(10, ReadsUnnamedTopics),
    Broken(11, TakesWhatItReadForDone, also=frozenset({3, 6})),  # lag counts from progress
    Broken(12, BeginsTheGroupItIsAskedAbout),
]
