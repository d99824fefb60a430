"""The servers on which the contract is checked: memory, a private Valkey, a private Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import TopicPartition
from kafka.admin import MemberToRemove, OffsetSpec

from streaming.kafka.broker import KafkaBroker
from streaming.kafka.connection import TOPIC_PREFIX as KAFKA_PREFIX
from streaming.kafka.connection import group_id
from streaming.redis.broker import KEY_PREFIX, RedisBroker
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import until
from tests.support.streaming.memory import MemoryBroker
from tests.support.valkey import PrivateValkey


class MemoryBackend:
    """A memory adapter (or a broken one); its store outlives each broker(), as a server would."""

    slack = coming = 0.4

    def __init__(self, adapter: type[MemoryBroker] = MemoryBroker) -> None:
        self._broker = adapter(10_000)

    def broker(self, maxlen: int = 10_000) -> MemoryBroker:
        self._broker.maxlen = maxlen
        return self._broker

    def lose_group(self, topic: str, group: str) -> None:
        self._broker.lose_group(topic, group)

    def lose_everything(self) -> None:
        self._broker.lose_everything()

    def groups(self) -> set[str]:
        return {f"{topic}/{group}" for topic, log in self._broker._logs.items() for group in log.groups}

    def expire(self, topic: str, count: int) -> None:
        """Do nothing: publishing has trimmed."""

    @contextmanager
    def full(self) -> Iterator[None]:
        self._broker.fill_up(room=7)
        yield
        self._broker.come_back()


class RedisBackend:
    """A real server, emptied first."""

    slack = coming = 0.4

    def __init__(self, server: PrivateValkey) -> None:
        self._server = server
        server.flush()

    def broker(self, maxlen: int = 10_000) -> RedisBroker:
        return RedisBroker(self._server.url, maxlen)

    def lose_group(self, topic: str, group: str) -> None:
        with self._server.client() as client:
            assert client.xgroup_destroy(KEY_PREFIX + topic, group)

    def lose_everything(self) -> None:
        self._server.flush()

    def groups(self) -> set[str]:
        with self._server.client() as client:
            keys = list(client.scan_iter(f"{KEY_PREFIX}*"))
            return {f"{key}/{group['name']}" for key in keys for group in client.xinfo_groups(key)}

    def expire(self, topic: str, count: int) -> None:
        """Do nothing: publishing has trimmed."""

    @contextmanager
    def full(self) -> Iterator[None]:
        self._server.configure(maxmemory=1)
        yield
        self._server.configure(maxmemory=0)


class KafkaBackend:
    """A real cluster of one node, emptied first."""

    slack = 2.0  # every answer comes from another process, and a group moves at its own pace
    coming = 5.0

    def __init__(self, server: PrivateKafka) -> None:
        self._server = server
        empty(server)

    def broker(self, maxlen: int = 10_000) -> KafkaBroker:
        return self._server.broker()

    def lose_group(self, topic: str, group: str) -> None:
        name = group_id(group, [topic])
        with self._server.client() as client:
            _expel(client, name)
            client.delete_groups([name])

    def lose_everything(self) -> None:
        empty(self._server)

    def groups(self) -> set[str]:
        with self._server.client() as client:
            return {row["group_id"] for row in client.list_groups()}

    def expire(self, topic: str, count: int) -> None:
        expire(self._server, topic, count)

    @contextmanager
    def full(self) -> Iterator[None]:
        with self._server.frozen():  # a cluster that is full is stopped: it has no other way to say "later"
            yield


def expire(server: PrivateKafka, topic: str, count: int) -> None:
    """Remove all but the newest records of a topic of one partition, as retention does."""
    part = TopicPartition(KAFKA_PREFIX + topic, 0)
    with server.client() as client:
        end = client.list_partition_offsets({part: OffsetSpec.LATEST})[part].offset
        client.delete_records({part: end - count})


def empty(server: PrivateKafka) -> None:
    """Remove all our topics and every group."""
    with server.client() as client:
        if names := _ours(client):
            client.delete_topics(names)
            until("the topics are gone", lambda: not _ours(client), 20)
        for group in (row["group_id"] for row in client.list_groups()):
            _expel(client, group)
            client.delete_groups([group])


def _ours(client: Any) -> list[str]:
    return [name for name in client.list_topics() if name.startswith(KAFKA_PREFIX)]


def _expel(client: Any, group: str) -> None:
    members = client.describe_groups([group])[group]["members"]
    if members:
        client.remove_group_members(group, [MemberToRemove(member_id=member["member_id"]) for member in members])
