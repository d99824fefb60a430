"""How many readers follow, shared through Valkey.

A count is not worth a database row, and the process that serves the metrics is another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic

import msgspec
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from actor_runtime.ownership.process_identity import this_process
from datastore.access.counters import ask_counters
from datastore.access.lua_scripts import STEADY

# A hash from process to "count time streams": Valkey's steady time in seconds, and the counts by stream as JSON.
FOLLOWERS_KEY = "ck:sse:followers"
COUNT_EXPIRY_S, COUNT_AGAIN_S = 15, 5.0
_PUBLISH = (
    STEADY
    + "local at = string.format('%.0f', steady() / 1000000)\n"
    + "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. at .. ' ' .. ARGV[3])"
)
_READ = STEADY + "return {string.format('%.0f', steady() / 1000000), redis.call('HGETALL', KEYS[1])}"


class PublishedCount:
    """What this process published last, and whether that must be said again."""

    def __init__(self, steady: Callable[[], float] = monotonic) -> None:
        """Nothing was published yet."""
        self._steady = steady
        self._last: tuple[int, Mapping[int, int]] | None = None
        self._again_at = 0.0

    def is_due(self, count: int, by_stream: Mapping[int, int]) -> bool:
        """Return whether to publish these counts: they are new, or were published some seconds ago."""
        now = self._steady()
        if (count, by_stream) == self._last and now < self._again_at:
            return False
        self._last, self._again_at = (count, by_stream), now + COUNT_AGAIN_S
        return True


def publish_follower_count(count: int, by_stream: Mapping[int, int]) -> None:
    """Publish how many follow in this process, and how many of them which stream; do nothing if Valkey is away."""
    with suppress(RedisError):
        client = get_redis_connection("hot")
        client.eval(_PUBLISH, 1, FOLLOWERS_KEY, this_process(), count, msgspec.json.encode(by_stream))
        client.expire(FOLLOWERS_KEY, COUNT_EXPIRY_S)


def followers_by_process() -> dict[str, int]:
    """Return the recently published counts by process; raise RedisError."""
    return {name: count for name, (count, _) in _published().items()}


def followers_by_stream() -> Counter[int]:
    """Return how many follow each stream, by its id, those without followers left out; raise RedisError."""
    return sum((Counter(of) for _, of in _published().values()), Counter[int]())


def _published() -> dict[str, tuple[int, dict[int, int]]]:
    """Return each process's count and its counts by stream."""
    now, stored = ask_counters(lambda client: client.eval(_READ, 1, FOLLOWERS_KEY))
    counts = {name.decode(): text.split(None, 2) for name, text in zip(stored[::2], stored[1::2], strict=True)}
    return {
        name: (int(count), msgspec.json.decode(streams[0], type=dict[int, int]) if streams else {})
        for name, (count, at, *streams) in counts.items()
        if int(now) - int(at) < COUNT_EXPIRY_S
    }
