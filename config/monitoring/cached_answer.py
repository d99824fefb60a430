"""One computed answer for all who ask within a second or so: asking often costs no more than asking once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")
TTL_S = 1.0


class CachedAnswer(Generic[T]):
    """What compute() returned at most TTL_S ago.

    One thread at a time computes it; the others are given the last one, so that a server that does not
    answer for seconds holds one thread and not all.
    """

    def __init__(self, compute: Callable[[], T], clock: Callable[[], float] = monotonic, times: float = 1.0) -> None:
        """Compute at the first question; times: how many times as long as TTL_S an answer lasts."""
        self._compute = compute
        self._clock, self._times = clock, times
        self._computing = threading.Lock()
        self._known: tuple[float, T] | None = None  # until when, and what

    def get(self) -> T:
        """Return the answer; only the first ones who ever ask wait for another thread. Raises what compute() does."""
        known = self._known
        if known is not None and self._clock() < known[0]:
            return known[1]
        if not self._computing.acquire(blocking=known is None):
            assert known is not None  # noqa: S101 - else it would have waited
            return known[1]
        try:
            if self._known is not known and self._known is not None:
                return self._known[1]  # computed while this thread waited
            found = self._compute()
            self._known = (self._clock() + self._times * TTL_S, found)
            return found
        finally:
            self._computing.release()
