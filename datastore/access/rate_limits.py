"""How often somebody may ask: buckets in Valkey that refill steadily, one atomic step per request.

Where Valkey does not answer, nobody is held back: an absent cache changes times, never what may be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import NamedTuple

from redis.exceptions import RedisError

from datastore.access.lua_scripts import Script

MIN_BURST = 20
LEASE_S = 0.1  # seconds for which turns are taken ahead, and over which an asker's requests are counted for it
MAX_LEASED, MAX_LEASES = 64, 10_000

# Self-contained, so that a script which answers a question can take from the bucket in the same round trip.
# key: the bucket's key. capacity: how many may come at once. per_second: how many come back each second. many: how many
# turns to take, of which a sixteenth of what is left is given, so that near the limit each request asks for itself.
# Returns the turns given (0: refused), how many more may come now, and the milliseconds until the next may.
# The key holds the time (microseconds of the server's clock) at which the bucket is full again, and expires then; a
# step is whole microseconds, so that sums are exact and exactly `capacity` come through at once.
TAKE = """
local function take(key, capacity, per_second, many)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local step = math.ceil(1000000 / per_second)
  local full = math.max(tonumber(redis.call('GET', key) or 0), now)
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
_TAKE = Script(TAKE + "return {take(KEYS[1], ARGV[1], ARGV[2], ARGV[3])}")


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
        return max(self.per_minute // 10, MIN_BURST)

    @property
    def per_second(self) -> float:
        """Return how many come back each second."""
        return self.per_minute / 60


class RateLimitResult(NamedTuple):
    """What came of one request: whether it may go on, how many more may come now, seconds until the next may."""

    allowed: bool
    remaining: int
    wait: float


def take(bucket: Bucket) -> RateLimitResult | None:
    """Take one request from the bucket; None where it is not known, since Valkey does not answer."""
    if turn := take_leased(bucket):
        return turn
    try:
        return result_of(bucket, _TAKE((bucket.key,), *script_arguments(bucket)))
    except RedisError:
        return None


def script_arguments(bucket: Bucket) -> tuple[int, float, int]:
    """Return what the script's `take` wants to know beside the key."""
    return bucket.capacity, bucket.per_second, _ahead.wanted(bucket)


def result_of(bucket: Bucket, taken: list[int]) -> RateLimitResult:
    """Return the turn that the script's `take` gave, and keep what it gave ahead."""
    given, remaining, wait = taken
    _ahead.keep(bucket, given - 1, remaining)
    return RateLimitResult(given > 0, remaining + max(given - 1, 0), wait / 1000)


def take_leased(bucket: Bucket) -> RateLimitResult | None:
    """Return a turn that was taken from the bucket before, None where none is left."""
    return _ahead.take(bucket)


@dataclass(slots=True)
class _Lease:
    left: int = 0
    remaining: int = 0  # in Valkey's bucket
    until: float = 0.0
    began: float = 0.0  # of the window in which requests are counted
    count: int = 0
    before: int = 0  # requests of the window before


class _Ahead:
    """Turns taken ahead, as many as an asker needed in the last moments: so few of his requests need a round trip.

    They are his for a moment only. Those he does not come for are lost to him, never given to more than were counted.
    """

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}
        self._lock = Lock()

    def take(self, bucket: Bucket) -> RateLimitResult | None:
        now = monotonic()
        with self._lock:
            lease = self._lease(bucket)
            if now - lease.began >= LEASE_S:
                lease.before = lease.count if now - lease.began < 2 * LEASE_S else 0
                lease.began, lease.count = now, 0
            lease.count += 1
            if lease.left < 1 or now >= lease.until:
                return None
            lease.left -= 1
            return RateLimitResult(True, lease.remaining + lease.left, 0.0)

    def wanted(self, bucket: Bucket) -> int:
        return max(1, min(self._lease(bucket).before // 4, MAX_LEASED))

    def keep(self, bucket: Bucket, left: int, remaining: int) -> None:
        if left > 0:
            with self._lock:
                lease = self._lease(bucket)
                lease.left, lease.remaining, lease.until = left, remaining, monotonic() + LEASE_S

    def _lease(self, bucket: Bucket) -> _Lease:
        if len(self._leases) > MAX_LEASES:
            self._leases.clear()
        return self._leases.setdefault(bucket.key, _Lease())


_ahead = _Ahead()
