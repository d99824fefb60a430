"""How many readers follow, shared through Valkey.

A count is not worth a database row, and the process that serves the metrics is another one.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from django_redis import get_redis_connection
from redis.exceptions import RedisError

FOLLOWERS_KEY = "ck:sse:followers"  # a hash from process to "count time", time in seconds since 1970
COUNT_EXPIRY_S = 15
PROCESS_NAME = f"{socket.gethostname()}:{os.getpid()}"


def publish_follower_count(count: int) -> None:
    """Publish how many follow in this process; do nothing if Valkey is away."""
    with suppress(RedisError):
        client = get_redis_connection("hot")
        client.hset(FOLLOWERS_KEY, PROCESS_NAME, f"{count} {int(time.time())}")
        client.expire(FOLLOWERS_KEY, COUNT_EXPIRY_S)


def followers_by_process() -> dict[str, int]:
    """Return the recently published counts by process; raise RedisError."""
    stored = get_redis_connection("default").hgetall(FOLLOWERS_KEY)
    counts = {name.decode(): text.split() for name, text in stored.items()}
    return {name: int(count) for name, (count, at) in counts.items() if time.time() - int(at) < COUNT_EXPIRY_S}
