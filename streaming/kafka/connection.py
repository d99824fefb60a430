"""Clients of a Kafka cluster as we want them, and the translation of their errors.

What kafka-python 3 does by itself and we must not rely on is said where it is worked around.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as library
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from streaming.errors import GroupLost, StreamError, StreamUnavailable, TopicMissing
from streaming.kafka_settings import KafkaAccess, describe_servers, kafka_servers
from streaming.topics import legal

# One refused connection is four lines of it, and an outage two hundred; what matters is raised, and logged by us.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

# On a cluster that others use too, ours are told by this; a dot is no part of our own names.
PREFIX = "candlekeep."
CONNECT_WITHIN = 1500  # milliseconds
ANSWER_WITHIN = 1500  # milliseconds; with the time that a publish or poll takes before, less than five seconds
READ_WITHIN = 5000  # milliseconds of one fetch, which may itself wait for records
SESSION = 10_000  # milliseconds; a member that is killed holds its partitions so long
HEARTBEAT = 1000  # milliseconds; a member learns so late that another has come or gone
TURN_WITHIN = 60_000  # milliseconds between two polls, after which a member is taken for stuck
RECORD_BYTES = 1_048_588  # Kafka's own default: a batch of one record of RECORD_LIMIT fits twice

# What the library raises: its own, the socket's, and RuntimeError where a client is being closed.
TROUBLE = (library.KafkaError, OSError, RuntimeError)
_LOST_GROUP = (
    library.CommitFailedError,
    library.FencedInstanceIdError,
    library.IllegalGenerationError,
    library.RebalanceInProgressError,
    library.UnknownMemberIdError,
)
# Not by `retriable`: the library calls a missing topic that, for it may be on its way.
_MISSING_TOPIC = (library.InvalidTopicError, library.UnknownTopicIdError, library.UnknownTopicOrPartitionError)
_WRONG_REQUEST = (
    library.InvalidConfigurationError,
    library.InvalidPartitionsError,
    library.InvalidReplicationFactorError,
    library.KafkaConfigurationError,
    library.PolicyViolationError,
    library.UnsupportedVersionError,
)


def wire_name(topic: str) -> str:
    """Return what the cluster calls a topic of ours."""
    return PREFIX + legal(topic)


def group_id(group: str, topics: Iterable[str]) -> str:
    """Return what the cluster calls the group of those who share these topics.

    Another one for each topic: a member that is slow with one would otherwise hold up those of the others. Who shares
    nothing commits under the group's own name, where a member would keep him from it.
    """
    return f"{group}.{'+'.join(sorted(topics))}"


def fate(exc: BaseException) -> StreamError:
    """Return what an error of the library means to us.

    A wrong password or a missing right counts as "not now": only the operator can mend it, and when it is mended
    there should be nothing to reset here.
    """
    text = reason_of(exc)
    if isinstance(exc, _LOST_GROUP):
        return GroupLost(text)
    if isinstance(exc, _MISSING_TOPIC):
        return TopicMissing(text)
    if isinstance(exc, _WRONG_REQUEST):
        return StreamError(f"the cluster refuses: {text}")
    return StreamUnavailable(text)


def reason_of(exc: BaseException) -> str:
    """Return an error's kind and the beginning of its text, which may hold a whole request."""
    text = " ".join(str(exc).split())
    name = type(exc).__name__.removesuffix("Error")
    return (text if text.startswith(name) else f"{name}: {text}")[:300]


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors where the block raises the library's."""
    try:
        yield
    except TROUBLE as exc:
        raise fate(exc) from exc


class _Connections(KafkaConnectionManager):  # type: ignore[misc]
    """The library's connections; why the first one failed is remembered, where it would only say that there is none."""

    trouble = ""

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        connection = super().get_connection(*arguments, **options)
        connection.init_future.add_errback(self._note)
        return connection

    def _note(self, exc: BaseException) -> None:
        # After a refused login, or in its place, the library may only find that its connection was closed.
        describe_servers = isinstance(exc, library.SaslAuthenticationFailedError)
        if describe_servers or (not self.trouble and not isinstance(exc, library.Cancelled)):
            self.trouble = reason_of(exc)


class _Network(KafkaNetClient):  # type: ignore[misc]
    def __init__(self, configs: dict[str, Any]) -> None:
        limits = ("socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms")
        configs |= dict.fromkeys(limits, CONNECT_WITHIN)
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=_Connections(net, **configs))

    @property
    def trouble(self) -> str:
        return str(self._manager.trouble)


class KafkaConnection:
    """Makes clients; each connects when it is made, and raises StreamUnavailable where it cannot."""

    def __init__(self, url: str, access: KafkaAccess) -> None:
        """Take a kafka:// URL; nothing is connected yet. Raises StreamError for a URL that is none."""
        self.servers = kafka_servers(url)
        self.access = access

    def admin(self) -> Any:
        """Return a client for questions and orders."""
        return self._made(KafkaAdminClient, request_timeout_ms=ANSWER_WITHIN)

    def producer(self) -> Any:
        """Return a client that writes, each partition's records in the order of their sending and once."""
        return self._made(
            KafkaProducer,
            acks="all",
            enable_idempotence=True,
            linger_ms=20,  # a publish flushes: nothing waits so long, but its records leave together
            batch_size=65_536,
            compression_type="lz4",
            request_timeout_ms=READ_WITHIN,
            # A batch that is given up after it was sent stops the library's producer for ever without a word. Ours is
            # thrown away by us long before.
            delivery_timeout_ms=3_600_000,
            max_block_ms=ANSWER_WITHIN,
            allow_auto_create_topics=False,
        )

    def consumer(self, group: str | None) -> Any:
        """Return a client that reads, as a member of the group or, without one, whatever it is given."""
        member = {"session_timeout_ms": SESSION, "heartbeat_interval_ms": HEARTBEAT}
        member["max_poll_interval_ms"] = TURN_WITHIN
        return self._made(
            KafkaConsumer,
            group_id=group,
            enable_auto_commit=False,
            # Whoever was too slow goes on with the oldest record that is left; the offsets tell that some are missing.
            auto_offset_reset="earliest",
            request_timeout_ms=READ_WITHIN,
            allow_auto_create_topics=False,
            **(member if group else {}),
        )

    def _made(self, kind: Callable[..., Any], **options: Any) -> Any:
        networks: list[_Network] = []

        def network(**configs: Any) -> _Network:
            networks.append(_Network(configs))
            return networks[-1]

        try:
            return kind(
                bootstrap_servers=self.servers,
                client_id="candlekeep",
                bootstrap_timeout_ms=CONNECT_WITHIN + ANSWER_WITHIN,
                reconnect_backoff_max_ms=1000,
                kafka_client=network,
                **self._login(),
                **options,
            )
        except BaseException as exc:
            # A client whose constructor fails leaves a thread and its sockets behind.
            for made in networks:
                close(made)
            if isinstance(exc, library.KafkaTimeoutError):
                raise StreamUnavailable(self._silence(networks[-1].trouble if networks else "")) from exc
            if isinstance(exc, TROUBLE):
                raise fate(exc) from exc
            raise

    def _silence(self, trouble: str) -> str:
        if self.access.has_login and "disconnected" in trouble:
            trouble += " (as where the login is refused)"
        return f"{describe_servers(self.servers)} does not answer: {trouble or 'too slow'}"

    def _login(self) -> dict[str, Any]:
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


def close(*clients: Any, **options: Any) -> None:
    """Close clients, whatever state they are in."""
    for client in clients:
        if client is not None:
            with suppress(Exception):
                client.close(**options)


def wire_names(topics: Sequence[str]) -> dict[str, str]:
    """Return our names by the cluster's. Raises ValueError unless there is one, and each once."""
    if not topics or len(set(topics)) < len(topics):
        raise ValueError("a subscription names its topics, each once")
    return {wire_name(topic): topic for topic in topics}
