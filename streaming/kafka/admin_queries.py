"""Queries to a cluster beyond its records: which topics there are, where they end, what a group has committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from kafka import TopicPartition
from kafka import errors as library
from kafka.admin import OffsetSpec
from kafka.structs import OffsetAndMetadata

from streaming.errors import TopicMissing
from streaming.kafka.connection import KafkaConnection, close_quietly
from streaming.kafka.errors import CLIENT_ERRORS, stream_error

T = TypeVar("T")
SETTLE_TIMEOUT_S = 1.0  # that a broker may take to learn which broker leads what
UNKNOWN_TOPIC_CODE = library.UnknownTopicOrPartitionError.errno


class ClusterTopic(NamedTuple):
    """A topic as the cluster has it: a name that is used again is another topic."""

    id: Any
    partitions: frozenset[TopicPartition]


class AdminQueries:
    """A connection for queries, made for the first one, and again for the first one after a failure."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._client: Any = None

    def call(self, query: Callable[[Any], T]) -> T:
        """Return what query(client) returns; raise StreamError."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            try:
                self._client = self._client or self._connection.admin()
                return query(self._client)
            except CLIENT_ERRORS as exc:
                self.close()  # it may know wrong leaders and coordinators
                if not _is_settling(exc) or time.monotonic() > deadline:
                    raise stream_error(exc) from exc
            threading.Event().wait(0.1)

    def existing(self, names: Iterable[str]) -> dict[str, ClusterTopic]:
        """Return those of these topics that exist."""
        asked = list(names)
        rows = self.call(lambda client: client.describe_topics(asked))
        topics: dict[str, ClusterTopic] = {}
        for row in rows:
            if row["error_code"] != UNKNOWN_TOPIC_CODE:
                partitions = (TopicPartition(row["name"], part["partition_index"]) for part in row["partitions"])
                topics[row["name"]] = ClusterTopic(row.get("topic_id"), frozenset(partitions))
        return topics

    def topics(self, names: Mapping[str, str]) -> dict[str, ClusterTopic]:
        """Return these topics, named as ours by the cluster's names; raise TopicMissing."""
        existing = self.existing(names)
        for name, ours in names.items():
            if name not in existing:
                raise TopicMissing(f"there is no topic {ours}")
        return existing

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset that each partition's next record will get."""
        return self._offsets(partitions, OffsetSpec.LATEST)

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset of the oldest record that each partition still has."""
        return self._offsets(partitions, OffsetSpec.EARLIEST)

    def _offsets(self, partitions: Iterable[TopicPartition], which: Any) -> dict[TopicPartition, int]:
        asked = dict.fromkeys(partitions, which)
        if not asked:
            return {}
        answer = self.call(lambda client: client.list_partition_offsets(asked))
        return {partition: answer[partition].offset for partition in asked}

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return what a group has committed; a partition in which it never committed is left out."""
        asked = list(partitions)
        answer = self.call(lambda client: client.list_group_offsets({group: asked})) if asked else {group: {}}
        return {partition: entry.offset for partition, entry in answer[group].items() if entry.offset >= 0}

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit for a group that has no members; raise GroupLost if it has some: they commit for themselves."""
        if not offsets:
            return
        wanted = {partition: committable(offset) for partition, offset in offsets.items()}
        for error in self.call(lambda client: client.alter_group_offsets(group, wanted)).values():
            if error is not library.NoError:
                raise stream_error(error(group))

    def close(self) -> None:
        """Close the connection; a later query makes it again."""
        client, self._client = self._client, None
        close_quietly(client)


def committable(offset: int) -> Any:
    """Return an offset as it is committed."""
    return OffsetAndMetadata(offset, "", -1)


def _is_settling(exc: BaseException) -> bool:
    """Return whether a broker answered "not yet": a topic or group that is new to it, or that has moved."""
    answered = isinstance(exc, library.BrokerResponseError) and isinstance(exc, library.RetriableError)
    return answered and not isinstance(exc, library.UnknownTopicOrPartitionError | library.RequestTimedOutError)
