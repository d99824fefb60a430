"""Lua scripts in Valkey, on one connection per thread: half the cost of a pooled command, on the hottest path.

The connection belongs to the cache `hot`, whose timeouts are short. After a failure Valkey is not asked for a second: a
missing cache makes an answer slower, never wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from threading import local
from time import monotonic
from typing import Any

import structlog
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError, NoScriptError, TimeoutError

RETRY_AFTER_S = 1.0
WARN_EVERY_S = 60.0
log = structlog.get_logger(__name__)


class ValkeyUnavailable(ConnectionError):
    """The cache did not answer a moment ago."""


class _Backoff:
    """When the cache may be asked again, and when the next warning about it may be logged (monotonic clock)."""

    def __init__(self) -> None:
        self.retry_at = self.warn_at = 0.0

    def failed(self, exc: Exception) -> None:
        now = monotonic()
        self.retry_at = now + RETRY_AFTER_S
        if now >= self.warn_at:
            self.warn_at = now + WARN_EVERY_S
            log.warning("the cache is left alone: no limits, no ready answers", reason=str(exc).partition("\n")[0])


class _ThreadConnection(local):
    """This thread's connection and the pool that made it; changed settings have another pool."""

    connection: Any = None  # a Connection, once it is needed
    pool: Any = None

    def ask(self, *command: Any) -> Any:
        """Send one command and return the answer."""
        pool = get_redis_connection("hot").connection_pool
        if self.connection is None or self.pool is not pool:
            self.pool, self.connection = pool, pool.make_connection()
        connection = self.connection
        try:
            connection.send_command(*command)
            return connection.read_response()
        except (ConnectionError, TimeoutError, OSError):
            # A late answer would be read as the answer to the next command.
            connection.disconnect()
            raise


_connection, _backoff = _ThreadConnection(), _Backoff()


def reset_backoff() -> None:
    """Ask the cache again at once."""
    _backoff.retry_at = _backoff.warn_at = 0.0


class Script:
    """A Lua script; call it to run it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], *arguments: str | int | float | bytes) -> Any:
        """Run the script with these keys and arguments; raise RedisError, at once if the cache failed a moment ago."""
        if monotonic() < _backoff.retry_at:
            raise ValkeyUnavailable("the cache did not answer a moment ago")

        command = ("EVALSHA", self._sha, len(keys), *keys, *arguments)
        try:
            try:
                return _connection.ask(*command)
            except (NoScriptError, ConnectionError):
                # The server may have been restarted; then the connection is dead and the script is not loaded either.
                _connection.ask("SCRIPT LOAD", self._text)
                return _connection.ask(*command)
        except (ConnectionError, TimeoutError) as exc:
            _backoff.failed(exc)
            raise
