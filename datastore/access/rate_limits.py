"""How often a caller may ask: buckets in Valkey that refill steadily, one atomic step per request.

If Valkey does not answer, no request is refused: a missing cache makes answers slower, it never withholds data.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import NamedTuple

from redis.exceptions import RedisError

from datastore.access.lua_scripts import STEADY, Script

MIN_BURST = 20
LEASE_S = 0.1  # how long leased requests are good for, and the window in which a caller's requests are counted
MAX_LEASED, MAX_BUCKETS = 64, 10_000  # requests leased at once; callers remembered

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


class RateLimitResult(NamedTuple):
    """Whether a request may go on, how many more may come now, and the seconds until the next may (0 if now)."""

    allowed: bool
    remaining: int
    wait: float


class Bucket:
    """What one caller takes from: `per_minute` come back each minute, a tenth of them may come at once.

    It holds requests that were taken from Valkey in advance, as many as the caller made lately, so that few need a
    round trip. Unused ones expire; they are never counted twice.
    """

    def __init__(self, name: str, per_minute: int) -> None:
        self.name = name
        self.key = f"ck:rate:{name}"  # in Valkey
        self.capacity = max(per_minute // 10, MIN_BURST)  # how many may come at once
        self.per_second = per_minute / 60  # how many come back
        self._lock = Lock()
        self._leased = self._remaining = 0  # requests taken in advance, and those left in Valkey's bucket
        self._leased_until = self._window_began = 0.0
        self._count = 0  # requests in this window
        self.many = 1  # requests that `take` should take at once, by those of the window before

    def take_leased(self) -> RateLimitResult | None:
        """Count a request, and take one that was leased before, without a round trip; None if none is left."""
        now = monotonic()
        with self._lock:
            age = now - self._window_began
            if age >= LEASE_S:
                self.many = max(1, min(self._count // 4, MAX_LEASED)) if age < 2 * LEASE_S else 1
                self._window_began, self._count = now, 0
            self._count += 1
            if self._leased < 1 or now >= self._leased_until:
                return None
            self._leased -= 1
            return RateLimitResult(True, self._remaining + self._leased, 0.0)

    def result_of(self, taken: list[int]) -> RateLimitResult:
        """Return the result of the script's `take`, and keep the requests that it gave beyond the first."""
        given, remaining, wait_ms = taken
        if given > 1:
            now = monotonic()
            with self._lock:
                unused = self._leased if now < self._leased_until else 0  # of a thread that came at the same time
                self._leased, self._remaining, self._leased_until = unused + given - 1, remaining, now + LEASE_S
        return RateLimitResult(given > 0, remaining + max(given - 1, 0), wait_ms / 1000)


# One bucket per caller in this process: those of callers that have not come for longest are forgotten.
bucket_for = lru_cache(maxsize=MAX_BUCKETS)(Bucket)


def take(bucket: Bucket) -> RateLimitResult | None:
    """Take one request from the bucket; None if Valkey does not answer."""
    if leased := bucket.take_leased():
        return leased
    try:
        return bucket.result_of(_TAKE((bucket.key,), bucket.capacity, bucket.per_second, bucket.many))
    except RedisError:
        return None
