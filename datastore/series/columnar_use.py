"""Whether the formats that need pyarrow are used here: a web process then loads it when it begins.

To load it and to write a first row takes 0.2 s of CPU, on a busy machine a second by the clock, for which the first
such answer would wait. It also takes 50 MB of memory, which those should not pay who never ask for these formats.
"""

from __future__ import annotations

import importlib
from contextlib import suppress

from django_redis import get_redis_connection
from redis.exceptions import RedisError

USED = "ck:columnar"
REMEMBERED_S = 30 * 86_400


def note_use() -> None:
    """Let the web processes that begin in the next month load what these formats need."""
    with suppress(RedisError):
        get_redis_connection("hot").set(USED, 1, ex=REMEMBERED_S)


def load_if_used() -> None:
    """Load all that these formats need if they were used, and it is installed."""
    with suppress(RedisError, ImportError):
        if get_redis_connection("hot").exists(USED):
            importlib.import_module("datastore.series.columnar_format").warm_up()
