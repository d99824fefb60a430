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

# Valkey's steady time in microseconds, for scripts that begin with this. Its own clock, TTLs included, is the machine's
# and may be set: what it was set back by is added again, so that nothing ever waits for that. Set ahead, time seems to
# have passed: no one waits longer for it. `ck:clock` keeps the newest clock seen, to 0.1 s, by which steady time may go
# back, and what was added.
STEADY = """
local function steady()
  local time = redis.call('TIME')
  local wall = time[1] * 1000000 + time[2]
  local known = redis.call('HMGET', 'ck:clock', 'wall', 'back')
  local newest, back = tonumber(known[1] or 0), tonumber(known[2] or 0)
  if wall < newest then back = back + newest - wall end
  if wall < newest or wall > newest + 100000 then
    redis.call('HSET', 'ck:clock', 'wall', string.format('%.0f', wall), 'back', string.format('%.0f', back))
  end
  return wall + back
end
"""
STEADY_NOW = STEADY + "return string.format('%.0f', steady())"

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
