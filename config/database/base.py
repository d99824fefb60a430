"""The database backend: PostgreSQL's, on connections that notice a server that has stopped answering.

libpq has no timeout for an answer, so a frozen server would block every process until it resumes: no heartbeat, no
reason in the log, no 503. A timeout per statement would be wrong too, because a long one would fail at each retry.
So a silent connection checks, on a second one, whether the server still accepts connections.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

from config.supervision.servers import database_refusal

MAX_SILENCE_S = 2.5  # before the check, which takes two more: no call blocks for more than 5 s
T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that fails if the server has stopped answering."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an operation; raise OperationalError if the server no longer accepts connections."""
        return super().wait(self._watched(gen), interval, timeout)

    def _watched(self, gen: PQGen[T]) -> PQGen[T]:
        heard = time.monotonic()
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > MAX_SILENCE_S:
                    if refusal := database_refusal(settings.DATABASE_URL):
                        self.pgconn.finish()  # an answer that still comes must not be read by the next operation
                        raise psycopg.OperationalError(f"the database has stopped answering: {refusal}")
                    heard = time.monotonic()
                awaited = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's backend with WatchedConnection, pooled or not."""

    def __init__(self, settings_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(settings_dict, *args, **kwargs)
        if pool := settings_dict["OPTIONS"].get("pool"):
            pool["connection_class"] = WatchedConnection

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect, or take a connection from the pool."""
        if self.pool:
            pooled: psycopg.Connection[Any] = super().get_new_connection(conn_params)
            return pooled
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        return WatchedConnection.connect(**conn_params)
