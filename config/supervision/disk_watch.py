"""The data folder of a running start: what cannot be written there is said once, and goes on when there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic

from config.disk import write_refusal
from config.supervision.output import Say

CHECK_EVERY_S = 5.0
CHECK_AGAIN_S = 1.0  # while it cannot be written


class DiskWatch:
    """Knows whether the data folder takes writes. A failed write is no reason to end, only to say so."""

    def __init__(self, home: Path, say: Say, refusal: Callable[[Path], str | None] = write_refusal) -> None:
        """Watch home/run, reporting with say()."""
        self.reason: str | None = None  # why nothing can be written, None while all is well
        self._home, self._say, self._refusal = home, say, refusal
        self._lock = Lock()  # log files are written in threads
        self._since = 0.0
        self._due = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Do a write of bookkeeping; if the disk refuses it, say so in place of raising."""
        try:
            yield
        except OSError as error:
            self.failed(error)

    def failed(self, error: OSError) -> None:
        """Take note of a write that failed."""
        reason = error.strerror or str(error)
        self._refused(f"{reason} ({error.filename})" if error.filename else reason)

    def look(self, now: float) -> bool:
        """Try a write if it is time to; return whether writing has just become possible again."""
        if now < self._due:
            return False
        if refusal := self._refusal(self._home / "run"):
            self._due = now + CHECK_AGAIN_S
            self._refused(refusal)
            return False
        self._due = now + CHECK_EVERY_S
        with self._lock:
            was, self.reason = self.reason, None
        if was:
            self._say(f"{self._home} can be written again, after {monotonic() - self._since:.0f} s ({was})")
        return was is not None

    def _refused(self, reason: str) -> None:
        with self._lock:
            if self.reason is not None:
                return
            self.reason, self._since, self._due = reason, monotonic(), 0.0
        self._say(f"{self._home} cannot be written: {reason}. Make room; everything goes on by itself then.")
