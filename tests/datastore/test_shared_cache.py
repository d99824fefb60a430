"""The bounded cache that threads share."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from cachetools import LRUCache

from datastore.access.shared_cache import SharedCache


def test_threads_that_keep_and_look_at_once_break_nothing() -> None:
    bounded: LRUCache[int, int] = LRUCache(8)
    cache = SharedCache(bounded)

    def use(first: int) -> None:
        for number in range(first, first + 5_000):
            cache.put(number % 16, number % 16)
            assert cache.get(number % 7) in (None, number % 7)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads change within a call
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert len(bounded) == 8


def test_what_is_looked_at_outlives_what_came_after_it() -> None:
    cache = SharedCache(LRUCache[str, int](2))
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    cache.clear()
    assert cache.get("a") is None
