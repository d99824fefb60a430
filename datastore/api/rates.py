"""How often somebody may ask: buckets in Valkey that refill steadily, one atomic step per request.

Where Valkey does not answer, nobody is held back: an absent cache changes times, never what may be known.
"""

from __future__ import annotations

import hashlib
import math
import threading
from functools import cache
from time import monotonic
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoScriptError, RedisError, ResponseError
from redis.retry import Retry

# Self-contained, so that a script which answers a question can take from the bucket in the same round trip.
# key: the bucket's key. capacity: how many may come at once. per_second: how many come back each second.
# Returns allowed (1 or 0), how many more may come now, and the milliseconds until the next may (0 where allowed).
# The key holds the time (microseconds of the server's clock) at which the bucket is full again, and expires then; a
# step is whole microseconds, so that sums are exact and exactly `capacity` come through at once.
TAKE = """
local function take(key, capacity, per_second)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local step = math.ceil(1000000 / per_second)
  local full = math.max(tonumber(redis.call('GET', key) or 0), now)
  local left = math.floor(capacity - (full - now) / step)
  if left < 1 then
    return 0, 0, math.ceil((full - now - (capacity - 1) * step) / 1000)
  end
  full = full + step
  redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
  return 1, left - 1, 0
end
"""
_SCRIPT = TAKE + "return {take(KEYS[1], ARGV[1], ARGV[2])}"
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()  # by which Valkey names it
LEAST_BURST = 20
PATIENCE = 0.25  # seconds that a request waits for Valkey
PAUSE = 1.0  # seconds for which it is not asked after it did not answer
TOLD_EVERY = 60.0  # seconds
log = structlog.get_logger(__name__)


class Bucket(NamedTuple):
    """What one asker takes from: `per_minute` come back each minute, a tenth of them may come at once."""

    name: str
    per_minute: int

    @property
    def key(self) -> str:
        """Return the bucket's key in Valkey."""
        return f"ck:rate:{self.name}"

    @property
    def capacity(self) -> int:
        """Return how many may come at once."""
        return max(self.per_minute // 10, LEAST_BURST)

    @property
    def per_second(self) -> float:
        """Return how many come back each second."""
        return self.per_minute / 60


class Turn(NamedTuple):
    """What came of one request: whether it may go on, how many more may come now, seconds until the next may."""

    allowed: bool
    remaining: int
    wait: float


def take(bucket: Bucket) -> Turn | None:
    """Take one request from the bucket; None where it is not known, since Valkey does not answer."""
    return _source(settings.REDIS_URL).take(bucket)


def headers(bucket: Bucket, turn: Turn) -> dict[str, str]:
    """Return the headers that tell an asker where he stands; a window is the time in which a whole bucket refills."""
    return {
        "RateLimit-Limit": str(bucket.capacity),
        "RateLimit-Remaining": str(turn.remaining),
        "RateLimit-Reset": str(math.ceil((bucket.capacity - turn.remaining) / bucket.per_second)),
        "RateLimit-Policy": f"{bucket.capacity};w={math.ceil(bucket.capacity / bucket.per_second)}",
    }


class _Source:
    """The buckets of one Valkey, asked over a connection per thread: the library's client costs twice as much."""

    def __init__(self, url: str) -> None:
        once = Retry(NoBackoff(), 0)  # the library's own patience is seconds long, in front of every answer
        self._pool = ConnectionPool.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=once)
        self._own = threading.local()
        self._asked_again = self._told_again = 0.0

    def take(self, bucket: Bucket) -> Turn | None:
        if monotonic() < self._asked_again:
            return None
        arguments = (1, bucket.key, bucket.capacity, bucket.per_second)
        try:
            try:
                allowed, remaining, wait = self._ask("EVALSHA", _SHA, *arguments)
            except NoScriptError:
                allowed, remaining, wait = self._ask("EVAL", _SCRIPT, *arguments)
        except RedisError as exc:
            self._lost(exc)
            return None
        return Turn(bool(allowed), remaining, wait / 1000)

    def _ask(self, *command: str | float) -> Any:
        try:
            return self._ask_once(command)
        except ConnectionError:
            return self._ask_once(command)  # a connection that was left idle may have been closed: make it anew

    def _ask_once(self, command: tuple[str | float, ...]) -> Any:
        link = getattr(self._own, "link", None)
        if link is None:
            link = self._own.link = self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            link.send_command(*command)
            return link.read_response()
        except ResponseError:
            raise  # an answer, if none to like
        except RedisError:
            link.disconnect()  # half an answer may be on its way: the next request must not read it
            raise

    def _lost(self, exc: RedisError) -> None:
        self._asked_again = monotonic() + PAUSE
        if monotonic() >= self._told_again:
            self._told_again = monotonic() + TOLD_EVERY
            log.warning("no limits: the cache does not answer", reason=str(exc).partition("\n")[0])


_source = cache(_Source)
