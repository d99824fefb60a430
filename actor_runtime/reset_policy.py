"""How long an Error lasts, by the class of the exception."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from actor_runtime.errors import CacheFault, FeedFault, PlatformFault, RequestFault, RouteFault
from actor_runtime.redaction import without_secrets
from streaming.errors import StreamLost, StreamUnavailable

MAX_RESET_DELAY_S = 300.0
DATABASE_AWAY = (OperationalError, InterfaceError)
TRANSIENT_ERRORS = (PlatformFault, StreamUnavailable, StreamLost, RedisError, ConnectionInterrupted, *DATABASE_AWAY)
MAX_REASON_CHARS = 500


def backoff(count: int, max_delay: float = MAX_RESET_DELAY_S) -> float:
    """Return the seconds to wait after the count-th failure in a row: 1, 2, 4 … max_delay."""
    return min(2.0 ** min(max(count - 1, 0), 30), max_delay)


def reset_delay(exc: BaseException, count: int) -> float | None:
    """Return the seconds until the automatic reset after the count-th error, None if a person must reset."""
    if isinstance(exc, RequestFault | RouteFault):
        return 0.0
    if isinstance(exc, CacheFault | FeedFault):
        return 1.0
    return backoff(count) if isinstance(exc, TRANSIENT_ERRORS) else None


def resetter(exc: BaseException, delay: float | None) -> str:
    """Return what the log names as the cause of a reset `delay` seconds after this error."""
    if isinstance(exc, RequestFault):
        return "request fault"
    return "route fault" if isinstance(exc, RouteFault) else f"automatic after {delay or 0:g} s"


def reason_of(exc: BaseException) -> str:
    """Return what went wrong in one line of up to 500 characters, without passwords and keys."""
    text = " ".join(str(exc).split()) or (type(exc).__doc__ or "").split("\n")[0]
    return without_secrets(f"{type(exc).__name__}: {text}")[:MAX_REASON_CHARS]
