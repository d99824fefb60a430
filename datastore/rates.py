"""How often somebody may ask: buckets in Valkey that refill steadily, one atomic step per request.

Where Valkey does not answer, nobody is held back: an absent cache changes times, never what may be known.
"""

from __future__ import annotations

from typing import NamedTuple

from redis.exceptions import RedisError

from datastore.line import Script

LEAST_BURST = 20

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
_TAKE = Script(TAKE + "return {take(KEYS[1], ARGV[1], ARGV[2])}")


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
    try:
        return turn_of(_TAKE((bucket.key,), bucket.capacity, bucket.per_second))
    except RedisError:
        return None


def turn_of(taken: list[int]) -> Turn:
    """Return what the script's `take` returned."""
    allowed, remaining, wait = taken
    return Turn(bool(allowed), remaining, wait / 1000)
