"""A bounded cache that threads share."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

from cachetools import Cache

K = TypeVar("K")
V = TypeVar("V")


class SharedCache(Generic[K, V]):
    """One of cachetools' caches behind a lock, since even a look moves an entry to the end of the line."""

    def __init__(self, cache: Cache[K, V]) -> None:
        self._cache = cache
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return the value, None if there is none."""
        with self._lock:
            return self._cache.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value; when full, those not used for longest make room."""
        with self._lock:
            self._cache[key] = value

    def clear(self) -> None:
        """Drop every value."""
        with self._lock:
            self._cache.clear()
