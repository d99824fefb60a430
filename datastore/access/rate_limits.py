"""How often a caller may ask: buckets in Valkey that refill steadily, one atomic step per request.

If Valkey does not answer, no request is refused: a missing cache makes answers slower, it never withholds data.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import NamedTuple

from redis.exceptions import RedisError

from datastore.access.lua_scripts import STEADY, Script

MIN_BURST = 20
LEASE_S = 0.1  # how long leased requests are good for, and the window in which a caller's requests are counted
MAX_LEASED, MAX_LEASES = 64, 10_000  # requests leased at once; callers remembered

# Self-contained, so that a script that answers a question can take from the bucket in the same round trip.
# key: the bucket's key. capacity: how many may come at once. per_second: how many come back each second. many: how many
# requests to take; at most a sixteenth of what is left is given, so that near the limit each request asks for itself.
# Returns how many were given (0: refused), how many more may come now, and the milliseconds until the next may.
# The key holds the steady time at which the bucket is full again, and expires then; a time that is further away than an
# empty bucket's is of another server's. A step is a whole number of microseconds, so that sums are exact and exactly
# `capacity` requests pass at once.
TAKE = (
    STEADY
    + """
local function take(key, capacity, per_second, many)
  local now = steady()
  local step = math.ceil(1000000 / per_second)
  local full = math.max(tonumber(redis.call('GET', key) or 0), now)
  if full > now + capacity * step + 100000 then full = now end
  local left = math.floor(capacity - (full - now) / step)
  if left < 1 then
    return 0, 0, math.ceil((full - now - (capacity - 1) * step) / 1000)
  end
  local given = math.max(1, math.min(tonumber(many or 1), math.floor(left / 16)))
  full = full + given * step
  redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
  return given, left - given, 0
end
"""
)
_TAKE = Script(TAKE + "return {take(KEYS[1], ARGV[1], ARGV[2], ARGV[3])}")


class Bucket(NamedTuple):
    """What one caller takes from: `per_minute` come back each minute, a tenth of them may come at once."""

    name: str
    per_minute: int

    @property
    def key(self) -> str:
        """Return the bucket's key in Valkey."""
        return f"ck:rate:{self.name}"

    @property
    def capacity(self) -> int:
        """Return how many requests may come at once."""
        return max(self.per_minute // 10, MIN_BURST)

    @property
    def per_second(self) -> float:
        """Return how many requests come back each second."""
        return self.per_minute / 60


class RateLimitResult(NamedTuple):
    """Whether a request may go on, how many more may come now, and the seconds until the next may (0 if now)."""

    allowed: bool
    remaining: int
    wait: float


def take(bucket: Bucket) -> RateLimitResult | None:
    """Take one request from the bucket; None if Valkey does not answer."""
    if leased := take_leased(bucket):
        return leased
    try:
        return result_of(bucket, _TAKE((bucket.key,), *script_arguments(bucket)))
    except RedisError:
        return None


def script_arguments(bucket: Bucket) -> tuple[int, float, int]:
    """Return the arguments of the script's `take` after the key."""
    return bucket.capacity, bucket.per_second, _leases.next_size(bucket)


def result_of(bucket: Bucket, taken: list[int]) -> RateLimitResult:
    """Return the result of the script's `take`, and keep the requests that it gave beyond the first."""
    given, remaining, wait_ms = taken
    _leases.keep(bucket, given - 1, remaining)
    return RateLimitResult(given > 0, remaining + max(given - 1, 0), wait_ms / 1000)


def take_leased(bucket: Bucket) -> RateLimitResult | None:
    """Take one of the requests leased from the bucket before, without a round trip; None if none is left."""
    return _leases.take(bucket)


@dataclass(slots=True)
class _Lease:
    left: int = 0
    remaining: int = 0  # in Valkey's bucket
    until: float = 0.0
    began: float = 0.0  # of the window in which requests are counted
    count: int = 0
    count_before: int = 0  # requests in the previous window


class _Leases:
    """Requests taken from the buckets in advance, as many as a caller made lately, so that few need a round trip.

    Unused ones expire; they are never counted twice.
    """

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}
        self._lock = Lock()

    def take(self, bucket: Bucket) -> RateLimitResult | None:
        now = monotonic()
        with self._lock:
            lease = self._lease(bucket)
            if now - lease.began >= LEASE_S:
                lease.count_before = lease.count if now - lease.began < 2 * LEASE_S else 0
                lease.began, lease.count = now, 0
            lease.count += 1
            if lease.left < 1 or now >= lease.until:
                return None
            lease.left -= 1
            return RateLimitResult(True, lease.remaining + lease.left, 0.0)

    def next_size(self, bucket: Bucket) -> int:
        return max(1, min(self._lease(bucket).count_before // 4, MAX_LEASED))

    def keep(self, bucket: Bucket, left: int, remaining: int) -> None:
        if left > 0:
            with self._lock:
                lease = self._lease(bucket)
                lease.left, lease.remaining, lease.until = left, remaining, monotonic() + LEASE_S

    def _lease(self, bucket: Bucket) -> _Lease:
        if len(self._leases) > MAX_LEASES:
            self._leases.clear()
        return self._leases.setdefault(bucket.key, _Lease())


_leases = _Leases()
