"""Clients of a Kafka cluster, set as we need them, and the cluster's names of our topics and groups.

Workarounds for kafka-python 3 are explained where they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as library

from streaming.errors import StreamUnavailable
from streaming.kafka.errors import CLIENT_ERRORS, stream_error
from streaming.kafka.internals import NetworkClient
from streaming.kafka_settings import KafkaAccess, describe_servers, kafka_servers
from streaming.topics import checked_name

# One refused connection makes four lines, an outage two hundred; what matters is raised, and logged by us.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

# It tells our topics from others on a shared cluster; a dot is no part of our own names.
TOPIC_PREFIX = "candlekeep."
CONNECT_TIMEOUT_MS = 1500
ANSWER_TIMEOUT_MS = 1500  # with the time that a publish or poll takes before, less than five seconds
FETCH_TIMEOUT_MS = 5000  # of one fetch, which may itself wait for records
SESSION_TIMEOUT_MS = 10_000  # a member that is killed holds its partitions so long
HEARTBEAT_INTERVAL_MS = 1000  # after which a member learns that another has come or gone
MAX_POLL_INTERVAL_MS = 60_000  # between two polls, after which a member is considered stuck
MAX_MESSAGE_BYTES = 1_048_588  # Kafka's own default: a batch of one record of MAX_RECORD_BYTES fits twice


def wire_name(topic: str) -> str:
    """Return the cluster's name of a topic; raise ValueError for an illegal name."""
    return TOPIC_PREFIX + checked_name(topic)


def wire_names(topics: Sequence[str]) -> dict[str, str]:
    """Return our names by the cluster's; raise ValueError unless there is one, and each once."""
    if not topics or len(set(topics)) < len(topics):
        raise ValueError("a subscription names its topics, each once")
    return {wire_name(topic): topic for topic in topics}


def group_id(group: str, topics: Iterable[str]) -> str:
    """Return what the cluster calls the group whose members share these topics.

    There is one for each set of topics, or a member that is slow with one topic would delay those of the others. A
    subscription that owns its topics commits under the plain group id; a group member would block that.
    """
    return f"{group}.{'+'.join(sorted(topics))}"


class KafkaConnection:
    """Makes clients; each connects when it is made, and raises StreamUnavailable if it cannot."""

    def __init__(self, url: str, access: KafkaAccess) -> None:
        """Take a kafka:// URL; nothing is connected yet. Raise StreamError for a URL of another kind."""
        self.servers = kafka_servers(url)
        self.access = access

    def admin(self) -> Any:
        """Return a client for queries and administration."""
        return self._create(KafkaAdminClient, request_timeout_ms=ANSWER_TIMEOUT_MS)

    def producer(self) -> Any:
        """Return a client that writes each partition's records in the order of their sending, and once."""
        return self._create(
            KafkaProducer,
            acks="all",
            enable_idempotence=True,
            linger_ms=20,  # a publish flushes: nothing waits so long, but its records leave together
            batch_size=65_536,
            compression_type="lz4",
            request_timeout_ms=FETCH_TIMEOUT_MS,
            # A batch that is given up after it was sent stops the library's producer for good, without a word. We throw
            # it away long before.
            delivery_timeout_ms=3_600_000,
            max_block_ms=ANSWER_TIMEOUT_MS,
            allow_auto_create_topics=False,
        )

    def consumer(self, group: str | None) -> Any:
        """Return a client that reads, as a member of the group or, without one, the partitions it is given."""
        member = {"session_timeout_ms": SESSION_TIMEOUT_MS, "heartbeat_interval_ms": HEARTBEAT_INTERVAL_MS}
        member["max_poll_interval_ms"] = MAX_POLL_INTERVAL_MS
        return self._create(
            KafkaConsumer,
            group_id=group,
            enable_auto_commit=False,
            # A reader that was too slow continues with the oldest record left; the offsets show that some are missing.
            auto_offset_reset="earliest",
            request_timeout_ms=FETCH_TIMEOUT_MS,
            allow_auto_create_topics=False,
            **(member if group else {}),
        )

    def _create(self, kind: Callable[..., Any], **options: Any) -> Any:
        networks: list[NetworkClient] = []

        def network(**configs: Any) -> NetworkClient:
            networks.append(NetworkClient(CONNECT_TIMEOUT_MS, **configs))
            return networks[-1]

        try:
            return kind(
                bootstrap_servers=self.servers,
                client_id="candlekeep",
                bootstrap_timeout_ms=CONNECT_TIMEOUT_MS + ANSWER_TIMEOUT_MS,
                reconnect_backoff_max_ms=1000,
                kafka_client=network,
                **self._login_options(),
                **options,
            )
        except BaseException as exc:
            # A client whose constructor fails leaves a thread and its sockets behind.
            for created in networks:
                close_quietly(created)
            if isinstance(exc, library.KafkaTimeoutError):
                failure = networks[-1].failure if networks else ""
                if self.access.has_login and "disconnected" in failure:
                    failure += " (as happens if the login is refused)"
                servers = describe_servers(self.servers)
                raise StreamUnavailable(f"{servers} does not answer: {failure or 'too slow'}") from exc
            if isinstance(exc, CLIENT_ERRORS):
                raise stream_error(exc) from exc
            raise

    def _login_options(self) -> dict[str, Any]:
        access = self.access
        options: dict[str, Any] = {"security_protocol": access.security_protocol}
        if access.has_login:
            options |= {"sasl_mechanism": access.sasl_mechanism, "sasl_plain_username": access.sasl_username}
            options |= {"sasl_plain_password": access.sasl_password}
        if access.is_encrypted:
            files = {"ssl_cafile": access.ssl_cafile, "ssl_certfile": access.ssl_certfile}
            files["ssl_keyfile"] = access.ssl_keyfile
            options |= {name: path or None for name, path in files.items()}
        return options


def close_quietly(*clients: Any, **options: Any) -> None:
    """Close clients, whatever state they are in."""
    for client in clients:
        if client is not None:
            with suppress(Exception):
                client.close(**options)
