"""Scripts run in Valkey on a connection that each thread keeps: half the cost of a pooled command, on the hottest path.

The connection is of the cache `hot`, whose time-outs are short.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from threading import local
from typing import Any

from django_redis import get_redis_connection
from redis.connection import Connection
from redis.exceptions import ConnectionError, NoScriptError, TimeoutError


class _Line(local):
    """This thread's connection, and the pool it is of: a changed setting has another one."""

    connection: Connection | None = None
    pool: Any = None

    def open(self) -> Connection:
        pool = get_redis_connection("hot").connection_pool
        if self.connection is None or self.pool is not pool:
            self.pool, self.connection = pool, pool.make_connection()
        assert self.connection is not None  # noqa: S101 - made above
        return self.connection

    def ask(self, *command: Any) -> Any:
        connection = self.open()
        try:
            connection.send_command(*command)  # type: ignore[no-untyped-call]
            return connection.read_response()
        except (ConnectionError, TimeoutError, OSError):
            # An answer that comes late would be taken for the next question's.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise


_line = _Line()


class Script:
    """A Lua script; calling it runs it. Raises RedisError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], *arguments: str | int | bytes) -> Any:
        """Run the script with these keys and arguments."""
        command = ("EVALSHA", self._name, len(keys), *keys, *arguments)
        try:
            return _line.ask(*command)
        except NoScriptError:
            _line.ask("SCRIPT LOAD", self._text)
        except ConnectionError:
            pass  # the server may have been started anew since we spoke last
        return _line.ask(*command)
