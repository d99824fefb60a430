"""How many follow, told through Valkey: a count is no row, and whoever is asked for metrics is another process."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from django_redis import get_redis_connection
from redis.exceptions import RedisError

KEY = "ck:sse:followers"  # a hash: count and wall time by process
COUNT_EXPIRY_S = 15  # seconds
PROCESS_NAME = f"{socket.gethostname()}:{os.getpid()}"


def publish_follower_count(count: int) -> None:
    """Say how many follow in this process. Without a cache nobody is told."""
    with suppress(RedisError):
        client = get_redis_connection("hot")
        client.hset(KEY, PROCESS_NAME, f"{count} {int(time.time())}")
        client.expire(KEY, COUNT_EXPIRY_S)


def followers_by_process() -> dict[str, int]:
    """Return how many follow by process, of those that have said so lately. Raises RedisError."""
    said = {name.decode(): told.split() for name, told in get_redis_connection("default").hgetall(KEY).items()}
    return {name: int(count) for name, (count, at) in said.items() if time.time() - int(at) < COUNT_EXPIRY_S}
