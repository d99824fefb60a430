"""An event that a signal handler may set."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event


class StopEvent(Event):
    """Set once and for good. A handler that interrupts Event.set() or wait() and calls set() waits for itself for ever.

    Linux signals a child once for each thread of a starter that dies, so that does happen. put() of a SimpleQueue may
    interrupt itself.
    """

    def __init__(self) -> None:
        """Begin unset."""
        super().__init__()
        self._is_set = False
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Return whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake all who wait."""
        self._is_set = True
        self._wakes.put(None)

    def wake(self) -> None:
        """End the wait of one who waits, or the next wait, without setting it."""
        self._wakes.put(None)

    def clear(self) -> None:
        """Raise TypeError: a stop is for good."""
        raise TypeError("a StopEvent stays set")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set or woken, at most so many seconds; return whether it is set."""
        if not self._is_set:
            with suppress(Empty):
                self._wakes.get(timeout=timeout)
                if self._is_set:
                    self._wakes.put(None)  # for the next one who waits
        return self._is_set
