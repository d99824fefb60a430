"""All that we use of kafka-python beyond its documentation: nothing else in the product touches its private parts.

tests/streaming/test_kafka_internals.py fails when an upgrade of the library changes any of it; what to check then is
said there, use by use.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import errors as library
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from streaming.kafka.errors import error_text


class _ConnectionManager(KafkaConnectionManager):  # type: ignore[misc]
    """The library's connections; it only says that there is none, so remember why the first one failed."""

    failure = ""

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        connection = super().get_connection(*arguments, **options)
        connection.init_future.add_errback(self._note_failure)
        return connection

    def _note_failure(self, exc: BaseException) -> None:
        # After a refused login, or instead of it, the library may only find that its connection was closed.
        login_refused = isinstance(exc, library.SaslAuthenticationFailedError)
        if login_refused or (not self.failure and not isinstance(exc, library.Cancelled)):
            self.failure = error_text(exc)


class NetworkClient(KafkaNetClient):  # type: ignore[misc]
    """The network client of the library's clients, for their option `kafka_client`; it ends with close()."""

    def __init__(self, connect_timeout_ms: int, **configs: Any) -> None:
        limits = ("socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms")
        configs |= dict.fromkeys(limits, connect_timeout_ms)
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=_ConnectionManager(net, **configs))

    @property
    def failure(self) -> str:
        """Return why a connection failed, empty if none did."""
        return str(self._manager.failure)


def abandon(producer: Any, exit_timeout_s: float) -> None:
    """Throw a KafkaProducer away with all it holds, so that nothing of it can overtake what is sent from now on."""
    sender = producer._sender
    # close() alone would first wait for what it holds, and keep the thread that sends it if that fails.
    sender.force_close()
    sender.join(exit_timeout_s)
    if not sender.is_alive():
        with suppress(Exception):
            producer.close(timeout=0)
        return
    producer._closed = True  # it ends by itself: nothing, not even the garbage collector, is to wait for it
    with suppress(Exception):
        producer._unregister_cleanup()
