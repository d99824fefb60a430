"""Topics on Apache Kafka, or what speaks its protocol.

A record's key decides its partition, as in Kafka's own clients; never give a topic more partitions while its records
matter, or a market's order ends there. What a topic keeps, and how long, is the cluster's business. Every role has
connections of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import errors as library

from streaming.kafka.admin_queries import AdminQueries
from streaming.kafka.connection import ANSWER_WITHIN, PREFIX, RECORD_BYTES, KafkaConnection, wire_name
from streaming.kafka.publisher import KafkaPublisher
from streaming.kafka.subscription import KafkaSubscription
from streaming.kafka_settings import KafkaAccess

SEEN_WITHIN = 2000  # milliseconds until every broker knows of a topic that was made
CONFIGS = {
    "cleanup.policy": "delete",
    "max.message.bytes": str(RECORD_BYTES),
    # By its own clock: a time of ours that it takes for wrong would be a refusal, and stop the producer.
    "message.timestamp.type": "LogAppendTime",
}


class KafkaBroker:
    """Topics of one cluster."""

    shares = True

    def __init__(self, url: str, access: KafkaAccess) -> None:
        """Take kafka://host:port,host:port; nothing is connected yet. Raises StreamError for a bad URL."""
        self._link = KafkaConnection(url, access)

    def publisher(self) -> KafkaPublisher:
        """Return a new publisher."""
        return KafkaPublisher(self._link)

    def subscribe(self, group: str, topics: Sequence[str]) -> KafkaSubscription:
        """Return a subscription that shares the partitions with the others of its group. Raises TopicMissing.

        It joins the group with its first poll; until then it may be asked how far the group is.
        """
        return KafkaSubscription(self._link, group, topics, shares=True)

    def assign(self, group: str, topics: Sequence[str]) -> KafkaSubscription:
        """Return a subscription that has all partitions to itself. Raises TopicMissing.

        Its positions are not those of subscribe(): read a topic in one of the two ways.
        """
        return KafkaSubscription(self._link, group, topics, shares=False)

    def admin(self) -> KafkaTopics:
        """Return the topic administration."""
        return KafkaTopics(self._link)


class KafkaTopics:
    """Makes and removes topics."""

    def __init__(self, link: KafkaConnection) -> None:
        self._questions = AdminQueries(link)
        self._replicas = link.access.replication_factor or -1

    def create_topic(self, name: str, partitions: int = 1) -> bool:
        """Make the topic; True if this call created it."""
        topic = wire_name(name)
        wanted = {"num_partitions": partitions, "replication_factor": self._replicas, "configs": CONFIGS}
        created = self._questions.ask(lambda client: _create(client, topic, wanted))
        # Also where another was quicker: its topic may not have come through to every broker yet.
        self._questions.ask(lambda client: client.wait_for_topics([topic], timeout_ms=SEEN_WITHIN))
        return created

    def delete_topic(self, name: str) -> bool:
        """Remove the topic; the cluster forgets what groups have committed of it. True if it was there."""
        topic = wire_name(name)
        return self._questions.ask(lambda client: _delete(client, topic))

    def topics(self) -> set[str]:
        """Return the names of all topics of ours."""
        names = self._questions.ask(lambda client: client.list_topics())
        return {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}

    def close(self) -> None:
        """Give the connection back."""
        self._questions.close()


def _create(client: Any, topic: str, wanted: dict[str, Any]) -> bool:
    try:
        client.create_topics({topic: wanted}, timeout_ms=ANSWER_WITHIN)
    except library.TopicAlreadyExistsError:
        return False
    return True


def _delete(client: Any, topic: str) -> bool:
    try:
        client.delete_topics([topic], timeout_ms=ANSWER_WITHIN)
    except library.UnknownTopicOrPartitionError:
        return False
    return True
