"""What a cluster is asked beside its records: which topics there are, where they end, what a group has committed."""

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
from streaming.kafka.connection import TROUBLE, KafkaConnection, close, fate

T = TypeVar("T")
SETTLED_WITHIN = 1.0  # seconds that a broker may take to know who leads what
NO_SUCH_TOPIC = library.UnknownTopicOrPartitionError.errno


class Topic(NamedTuple):
    """A topic as the cluster has it: a name that is used again is another topic."""

    id: Any
    partitions: frozenset[TopicPartition]


class AdminQueries:
    """A connection for questions, made at the first one, and anew at the first one after a failure."""

    def __init__(self, link: KafkaConnection) -> None:
        self._link = link
        self._client: Any = None

    def ask(self, question: Callable[[Any], T]) -> T:
        """Return the client's answer. Raises StreamError."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while True:
            try:
                self._client = self._client or self._link.admin()
                return question(self._client)
            except TROUBLE as exc:
                self.close()  # it may know wrong leaders and coordinators
                if not _is_settling(exc) or time.monotonic() > deadline:
                    raise fate(exc) from exc
            threading.Event().wait(0.1)

    def found(self, names: Iterable[str]) -> dict[str, Topic]:
        """Return those of these topics that exist."""
        asked = list(names)
        rows = self.ask(lambda client: client.describe_topics(asked))
        return {row["name"]: _topic(row) for row in rows if row["error_code"] != NO_SUCH_TOPIC}

    def topics(self, names: Mapping[str, str]) -> dict[str, Topic]:
        """Return these topics, given as ours by the cluster's names. Raises TopicMissing."""
        found = self.found(names)
        for name, ours in names.items():
            if name not in found:
                raise TopicMissing(f"there is no topic {ours}")
        return found

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
        answer = self.ask(lambda client: client.list_partition_offsets(asked))
        return {partition: answer[partition].offset for partition in asked}

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return what a group has committed; a partition of which it never committed anything is left out."""
        asked = list(partitions)
        answer = self.ask(lambda client: client.list_group_offsets({group: asked})) if asked else {group: {}}
        return {partition: where.offset for partition, where in answer[group].items() if where.offset >= 0}

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit for a group that has no members. Raises GroupLost where it has some: they commit for themselves."""
        wanted = {partition: at(offset) for partition, offset in offsets.items()}
        answer = self.ask(lambda client: client.alter_group_offsets(group, wanted)) if wanted else {}
        for error in answer.values():
            if error is not library.NoError:
                raise fate(error(group))

    def close(self) -> None:
        """Give the connection back; a later question makes it again."""
        client, self._client = self._client, None
        close(client)


def at(offset: int) -> Any:
    """Return an offset as it is committed."""
    return OffsetAndMetadata(offset, "", -1)


def _is_settling(exc: BaseException) -> bool:
    """Tell whether a broker answered "not yet": a topic or group of which it has just heard, or that has moved."""
    answered = isinstance(exc, library.BrokerResponseError) and isinstance(exc, library.RetriableError)
    return answered and not isinstance(exc, library.UnknownTopicOrPartitionError | library.RequestTimedOutError)


def _topic(row: Mapping[str, Any]) -> Topic:
    partitions = (TopicPartition(row["name"], part["partition_index"]) for part in row["partitions"])
    return Topic(row.get("topic_id"), frozenset(partitions))
