"""How many readers follow, shared through Valkey.

A count is not worth a database row, and the process that serves the metrics is another one.
"""

from __future__ import annotations

from contextlib import suppress

from django_redis import get_redis_connection
from redis.exceptions import RedisError

from actor_runtime.ownership.process_identity import this_process
from datastore.access.counters import ask_counters
from datastore.access.lua_scripts import STEADY

FOLLOWERS_KEY = "ck:sse:followers"  # a hash from process to "count time", Valkey's steady time in seconds
COUNT_EXPIRY_S = 15
_PUBLISH = STEADY + "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', steady() / 1000000))"
_READ = STEADY + "return {string.format('%.0f', steady() / 1000000), redis.call('HGETALL', KEYS[1])}"


def publish_follower_count(count: int) -> None:
    """Publish how many follow in this process; do nothing if Valkey is away."""
    with suppress(RedisError):
        client = get_redis_connection("hot")
        client.eval(_PUBLISH, 1, FOLLOWERS_KEY, this_process(), count)
        client.expire(FOLLOWERS_KEY, COUNT_EXPIRY_S)


def followers_by_process() -> dict[str, int]:
    """Return the recently published counts by process; raise RedisError."""
    now, stored = ask_counters(lambda client: client.eval(_READ, 1, FOLLOWERS_KEY))
    counts = {name.decode(): text.split() for name, text in zip(stored[::2], stored[1::2], strict=True)}
    return {name: int(count) for name, (count, at) in counts.items() if int(now) - int(at) < COUNT_EXPIRY_S}
