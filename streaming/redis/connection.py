"""One connection to a Valkey or Redis server, and the translation of its errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streaming.errors import GroupLost, StreamError, StreamUnavailable, TopicMissing

CONNECT_WITHIN = 2.0  # seconds
ANSWER_WITHIN = 3.0  # seconds; a frozen server is a fault of the platform, told within five
Part = str | bytes | int

_pack: Any = hiredis.pack_command  # typed for tuples of one only

_OF_OURS = {"NOTOPIC": TopicMissing, "NOGROUP": GroupLost, "TAKEN": GroupLost}
# Answers that mean "not now": a server that is full, starting, failing over or read-only. A wrong password or right
# counts too: only the operator can mend it, and when it is mended there should be nothing to reset here.
_NOT_NOW = (
    redis.ConnectionError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.ExecAbortError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
_NOT_NOW_WORDS = {"BUSY", "MISCONF", "NOREPLICAS"}  # redis-py has no class for these


class RedisConnection:
    """A connection made at the first call, and anew at the first one after a failure."""

    def __init__(self, url: str) -> None:
        """Take a redis://, rediss:// or unix:// URL; nothing is connected yet. Raises StreamError for any other."""
        try:
            over_tcp = {} if url.startswith("unix:") else {"socket_keepalive": True}
            pool = redis.ConnectionPool.from_url(
                url,
                protocol=2,
                socket_connect_timeout=CONNECT_WITHIN,
                socket_timeout=ANSWER_WITHIN,
                **over_tcp,
                # The caller backs off and is seen to wait; a retry in here would only hold it longer.
                retry=Retry(NoBackoff(), 0),
            )
            self._connection: Any = pool.make_connection()  # its methods have no types
        except (ValueError, TypeError) as exc:
            raise StreamError(f"the stream's URL is wrong: {exc}") from exc

    def ask(self, *command: Part) -> Any:
        """Return the answer to one command. Raises StreamError."""
        return _sound(self._exchange([command]))[0]

    def transaction(self, *commands: tuple[Part, ...]) -> list[Any]:
        """Return the answers to commands done as one step. Raises StreamError."""
        answers = _sound(self._exchange([("MULTI",), *commands, ("EXEC",)]))
        return _sound(answers[-1])

    def close(self) -> None:
        """Close the connection; a later call opens it again."""
        self._connection.disconnect()

    def _exchange(self, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
        try:
            self._connection.send_packed_command([_pack(command) for command in commands])
            return [self._answer() for _ in commands]
        except (redis.RedisError, OSError) as exc:
            self._connection.disconnect()
            raise StreamUnavailable(str(exc) or type(exc).__name__) from exc
        except BaseException:  # Ctrl-C between two answers: the next command would be given the wrong ones
            self._connection.disconnect()
            raise

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as refusal:
            return refusal  # the answers to the commands behind it are still to be read


def _sound(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise fate(answer) from answer
    return answers


def fate(refusal: Exception) -> StreamError:
    """Return what a server's error answer means to us."""
    word, _, rest = str(refusal).partition(" ")
    if word in _OF_OURS:
        return _OF_OURS[word](rest)
    if word in _NOT_NOW_WORDS or isinstance(refusal, _NOT_NOW):
        return StreamUnavailable(str(refusal))
    return StreamError(f"the server refuses: {refusal}")
