"""The database backend: PostgreSQL's, on connections that notice a server that has stopped answering.

libpq has no timeout for an answer, so a frozen server would block every process until it resumes: no heartbeat, no
reason in the log, no 503. A timeout per statement would be wrong too, because a long one would fail at each retry.
So a silent connection checks, on a second one, whether the server still accepts connections.

A session that can do no more for us (it may only read, or the server ended it) fails like a server that is away, with
OperationalError, and is closed: a new session may be better, and nobody gets this one from the pool again. Which errors
mean that the database is away is thereby one question of class: actor_runtime.reset_policy.DATABASE_AWAY.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

from config.supervision.servers import database_refusal

MAX_SILENCE_S = 2.5  # before the check, which takes two more: no call blocks for more than 5 s
# 25006: it was read-only when the session began, or this is a standby by now. 25P03 and 25P04: the server ended it.
# psycopg takes these for mistakes of the program. Shutdown, lack of resources and lost connections (classes 57P, 53 and
# 08) are OperationalErrors already.
USELESS_SESSION = (
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
)
# A full disk is 53100, and a failing one 58030. But the server reports a file system that became read-only as a lack of
# rights (42501) and a quota that is used up as its own mistake (XX000): only the system's words tell these apart.
DISK_CODES = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InternalError_)
DISK_WORDS = tuple(os.strerror(code) for code in (errno.EROFS, errno.EDQUOT))
READ_ONLY_SIGNS = ("default_transaction_read_only", "in_hot_standby")  # the server reports each change of these
T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that fails if the server has stopped answering."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an operation; raise OperationalError if the server or this session can do no more for us."""
        try:
            return super().wait(self._watched(gen), interval, timeout)
        except USELESS_SESSION as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(str(error)) from error
        except DISK_CODES as error:
            if not str(error).partition("\n")[0].endswith(DISK_WORDS):
                raise
            raise psycopg.OperationalError(str(error)) from error

    @property
    def takes_no_writes(self) -> bool:
        """Return whether the server has said that it takes no writes in this session."""
        return any(self.info.parameter_status(sign) == "on" for sign in READ_ONLY_SIGNS)

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

    def _close(self) -> None:
        """Close the connection, or give it back to the pool; one that takes no writes is never kept for the next."""
        if (
            isinstance(self.connection, WatchedConnection)
            and not self.connection.closed
            and self.connection.takes_no_writes
        ):
            self.connection.close()
        super()._close()  # type: ignore[misc]  # the stubs leave it out
