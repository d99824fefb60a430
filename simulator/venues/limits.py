"""A venue's limits: each counts what is taken, of the wall clock's time, and says when it is too much."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Any


class Bucket:
    """So many per second on average, at most `burst` at once. `peak`: most taken within any one second."""

    def __init__(self, name: str, per_second: float, burst: float) -> None:
        self.name, self._rate, self._burst = name, per_second, burst
        self._tokens, self._at = burst, 0.0
        self._recent: deque[float] = deque()
        self.taken = self.exceeded = self.peak = 0
        self._lock = Lock()

    def take(self, now: float, weight: int = 1) -> bool:
        """Count one; return False if it is over the limit."""
        with self._lock:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self.taken += 1
            self._recent.append(now)
            while self._recent[0] <= now - 1:
                self._recent.popleft()
            self.peak = max(self.peak, len(self._recent))
            if self._tokens < weight:
                self.exceeded += 1
                return False
            self._tokens -= weight
            return True

    def report(self) -> dict[str, Any]:
        """Return its figures for the control interface."""
        figures = {"limit": self.name, "seconds": 1, "most": self._rate, "burst": self._burst}
        return figures | {"taken": self.taken, "peak": self.peak, "exceeded": self.exceeded}


class Window:
    """So many within each window of whole `seconds` since 1970. `peak`: most taken within one of them."""

    def __init__(self, name: str, seconds: int, most: int) -> None:
        self.name, self.seconds, self.most = name, seconds, most
        self._window, self.used = -1, 0
        self.taken = self.exceeded = self.peak = 0
        self._lock = Lock()

    def take(self, now: float, weight: int = 1) -> bool:
        """Count a weight; return False if it is over the limit."""
        with self._lock:
            window = int(now) // self.seconds
            if window != self._window:
                self._window, self.used = window, 0
            self.used += weight
            self.taken += weight
            self.peak = max(self.peak, self.used)
            if self.used > self.most:
                self.exceeded += 1
                return False
            return True

    def left_s(self, now: float) -> int:
        """Return the seconds until the next window."""
        return self.seconds - int(now) % self.seconds

    def report(self) -> dict[str, Any]:
        """Return its figures for the control interface."""
        figures = {"limit": self.name, "seconds": self.seconds, "most": self.most}
        return figures | {"taken": self.taken, "peak": self.peak, "exceeded": self.exceeded}


Limit = Bucket | Window
