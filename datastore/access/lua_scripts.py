"""Scripts run in Valkey on a connection that each thread keeps: half the cost of a pooled command, on the hottest path.

The connection is of the cache `hot`, whose time-outs are short. One that does not answer is left alone for a moment: an
absent cache changes the time of an answer, never its truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from threading import local
from time import monotonic
from typing import Any

import structlog
from django_redis import get_redis_connection
from redis.connection import Connection
from redis.exceptions import ConnectionError, NoScriptError, TimeoutError

RETRY_AFTER_S = 1.0  # seconds for which a cache that did not answer is left alone
WARN_EVERY_S = 60.0  # seconds
log = structlog.get_logger(__name__)


class ValkeyUnavailable(ConnectionError):
    """The cache did not answer a moment ago."""


class _Patience:
    """When the cache may be asked again, and when that it is not may be told again."""

    def __init__(self) -> None:
        self.asked_again = self.told_again = 0.0

    def lost(self, exc: Exception) -> None:
        now = monotonic()
        self.asked_again = now + RETRY_AFTER_S
        if now >= self.told_again:
            self.told_again = now + WARN_EVERY_S
            log.warning("the cache is left alone: no limits, no ready answers", reason=str(exc).partition("\n")[0])


class _Line(local):
    """This thread's connection, and the pool it is of: a changed setting has another one."""

    connection: Connection | None = None
    pool: Any = None

    def ask(self, *command: Any) -> Any:
        connection = self._open()
        try:
            connection.send_command(*command)  # type: ignore[no-untyped-call]
            return connection.read_response()
        except (ConnectionError, TimeoutError, OSError):
            # An answer that comes late would be taken for the next question's.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise

    def _open(self) -> Connection:
        pool = get_redis_connection("hot").connection_pool
        if self.connection is None or self.pool is not pool:
            self.pool, self.connection = pool, pool.make_connection()
        assert self.connection is not None  # noqa: S101 - made above
        return self.connection


_line, _patience = _Line(), _Patience()


def reset_backoff() -> None:
    """Ask the cache again at once."""
    _patience.asked_again = _patience.told_again = 0.0


class Script:
    """A Lua script; calling it runs it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], *arguments: str | int | float | bytes) -> Any:
        """Run the script with these keys and arguments. Raises RedisError, at once where the cache was just away."""
        if monotonic() < _patience.asked_again:
            raise ValkeyUnavailable("the cache did not answer a moment ago")
        try:
            return self._run("EVALSHA", self._name, len(keys), *keys, *arguments)
        except (ConnectionError, TimeoutError) as exc:
            _patience.lost(exc)
            raise

    def _run(self, *command: Any) -> Any:
        try:
            return _line.ask(*command)
        except (NoScriptError, ConnectionError):
            # The server may have been started anew since we spoke last: then it knows no scripts either.
            _line.ask("SCRIPT LOAD", self._text)
        return _line.ask(*command)
