"""Topics on Apache Kafka, or on a broker that speaks its protocol.

A record's key decides its partition, as in Kafka's own clients; never give a topic more partitions while its records
matter, or a market's order ends there. What a topic keeps, and how long, is set on the cluster. Every role has
connections of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import errors as library

from streaming.kafka.admin_queries import AdminQueries
from streaming.kafka.connection import (
    ANSWER_TIMEOUT_MS,
    MAX_MESSAGE_BYTES,
    TOPIC_PREFIX,
    KafkaConnection,
    group_id,
    wire_name,
    wire_names,
)
from streaming.kafka.publisher import KafkaPublisher
from streaming.kafka.subscription import KafkaSubscription
from streaming.kafka_settings import KafkaAccess

TOPIC_VISIBLE_TIMEOUT_MS = 2000  # until every broker knows of a topic that was made
TOPIC_CONFIG = {
    "cleanup.policy": "delete",
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
    # By its own clock: a timestamp that we sent and it found wrong would be a refusal, and stop the producer.
    "message.timestamp.type": "LogAppendTime",
}


class KafkaBroker:
    """Topics of one cluster."""

    shares = True

    def __init__(self, url: str, access: KafkaAccess) -> None:
        """Take kafka://host:port,host:port; nothing is connected yet. Raise StreamError for a bad URL."""
        self._connection = KafkaConnection(url, access)

    def publisher(self) -> KafkaPublisher:
        """Return a new publisher."""
        return KafkaPublisher(self._connection)

    def subscribe(self, group: str, topics: Sequence[str]) -> KafkaSubscription:
        """Return a subscription that shares the partitions with the others of its group; raise TopicMissing.

        It joins the group with its first poll; until then it may be asked how far the group is.
        """
        return KafkaSubscription(self._connection, group, topics, shares=True)

    def assign(self, group: str, topics: Sequence[str]) -> KafkaSubscription:
        """Return a subscription that has all partitions to itself; raise TopicMissing.

        Its positions are not those of subscribe(): read a topic in one of the two ways.
        """
        return KafkaSubscription(self._connection, group, topics, shares=False)

    def admin(self) -> KafkaAdmin:
        """Return the topic administration."""
        return KafkaAdmin(self._connection)


class KafkaAdmin:
    """Makes and removes topics."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._queries = AdminQueries(connection)
        self._replicas = connection.access.replication_factor or -1

    def create_topic(self, name: str, partitions: int = 1) -> bool:
        """Make the topic; True if this call created it."""
        topic = wire_name(name)
        wanted = {"num_partitions": partitions, "replication_factor": self._replicas, "configs": TOPIC_CONFIG}

        def create(client: Any) -> bool:
            try:
                client.create_topics({topic: wanted}, timeout_ms=ANSWER_TIMEOUT_MS)
            except library.TopicAlreadyExistsError:
                return False
            return True

        created = self._queries.call(create)
        # Also if another process was quicker: its topic may not have reached every broker yet.
        self._queries.call(lambda client: client.wait_for_topics([topic], timeout_ms=TOPIC_VISIBLE_TIMEOUT_MS))
        return created

    def delete_topic(self, name: str) -> bool:
        """Remove the topic; the cluster forgets what groups have committed of it. True if it was there."""
        topic = wire_name(name)

        def delete(client: Any) -> bool:
            try:
                client.delete_topics([topic], timeout_ms=ANSWER_TIMEOUT_MS)
            except library.UnknownTopicOrPartitionError:
                return False
            return True

        return self._queries.call(delete)

    def topics(self) -> set[str]:
        """Return the names of all our topics."""
        names = self._queries.call(lambda client: client.list_topics())
        return {name.removeprefix(TOPIC_PREFIX) for name in names if name.startswith(TOPIC_PREFIX)}

    def unread(self, group: str, topics: Sequence[str], *, shared: bool) -> dict[str, int]:
        """Return by topic how many records the group has not committed, counting those that are still there."""
        names = wire_names(topics) if topics else {}
        existing = self._queries.existing(names)
        partitions = {part for topic in existing.values() for part in topic.partitions}
        committed = self._queries.committed(group_id(group, topics) if shared else group, partitions)
        starts, ends = self._queries.starts(partitions), self._queries.ends(partitions)
        left = {names[name]: 0 for name in existing}
        for part, end in ends.items():
            left[names[part.topic]] += max(0, end - max(starts[part], committed.get(part, 0)))
        return left

    def close(self) -> None:
        """Close the connection."""
        self._queries.close()
