"""One connection to a Valkey or Redis server, and the translation of its errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streaming.errors import GroupLost, StreamError, StreamUnavailable, TopicMissing

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 3.0  # a frozen server is a fault of the platform, reported within five seconds
CommandPart = str | bytes | int

_pack: Any = hiredis.pack_command  # typed for tuples of one only

_SCRIPT_ERRORS = {"NOTOPIC": TopicMissing, "NOGROUP": GroupLost, "TAKEN": GroupLost}
# Answers that mean "not now": a server that is full, starting, failing over or read-only. A wrong password or right
# counts too: only the operator can fix it, and once it is fixed there should be nothing to reset here.
_TRANSIENT_ERRORS = (
    redis.ConnectionError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.ExecAbortError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
_TRANSIENT_CODES = {"BUSY", "MISCONF", "NOREPLICAS"}  # redis-py has no class for these


class RedisConnection:
    """A connection made at the first call, and again at the first one after a failure."""

    def __init__(self, url: str, answer_s: float | None = None) -> None:
        """Take a redis://, rediss:// or unix:// URL; nothing is connected yet. Raise StreamError for any other."""
        answer_s = answer_s or ANSWER_TIMEOUT_S
        try:
            over_tcp = {} if url.startswith("unix:") else {"socket_keepalive": True}
            pool = redis.ConnectionPool.from_url(
                url,
                protocol=2,
                socket_connect_timeout=min(CONNECT_TIMEOUT_S, answer_s),
                socket_timeout=answer_s,
                **over_tcp,
                # The caller backs off and shows that it waits; a retry in here would only hold it up longer.
                retry=Retry(NoBackoff(), 0),
            )
            self._connection: Any = pool.make_connection()  # its methods have no types
        except (ValueError, TypeError) as exc:
            raise StreamError(f"the stream's URL is wrong: {exc}") from exc

    def execute(self, *command: CommandPart) -> Any:
        """Return the answer to one command; raise StreamError."""
        return _checked(self._exchange([command]))[0]

    def transaction(self, *commands: tuple[CommandPart, ...]) -> list[Any]:
        """Return the answers to commands done as one step; raise StreamError."""
        answers = _checked(self._exchange([("MULTI",), *commands, ("EXEC",)]))
        return _checked(answers[-1])

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        self._connection.disconnect()

    def _exchange(self, commands: Sequence[tuple[CommandPart, ...]]) -> list[Any]:
        try:
            self._connection.send_packed_command([_pack(command) for command in commands])
            return [self._answer() for _ in commands]
        except (redis.RedisError, OSError) as exc:
            self._connection.disconnect()
            raise StreamUnavailable(str(exc) or type(exc).__name__) from exc
        except BaseException:  # Ctrl-C between two answers: the next command would get the wrong ones
            self._connection.disconnect()
            raise

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as refusal:
            return refusal  # the answers to the commands after it are still to be read


def _checked(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise stream_error(answer) from answer
    return answers


def stream_error(refusal: Exception) -> StreamError:
    """Return our error for a server's error answer."""
    word, _, rest = str(refusal).partition(" ")
    if word in _SCRIPT_ERRORS:
        return _SCRIPT_ERRORS[word](rest)
    if word in _TRANSIENT_CODES or isinstance(refusal, _TRANSIENT_ERRORS):
        return StreamUnavailable(str(refusal))
    return StreamError(f"the server refuses: {refusal}")
