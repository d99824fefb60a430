"""The provider's time, estimated from its own stamps; it says what time it is, and proves nothing by itself.

All values are microseconds. Between stamps the estimate advances with this machine's count since its boot, which no one
sets. A stamp is a lower bound of the provider's time at its receipt, so the greatest difference to our count within a
minute is followed, up and down.

A stamp that differs from the estimate by more than a few seconds is doubted. One ahead of it proves nothing; one behind
it may be late, and proves what it always does. Doubted stamps that agree with each other are believed, if no stamp
between them agreed with the estimate, and

- they come from two sources that do not share a clock: the streamer, the receipt of trades, the server that answered
  the handshake. If they lie behind, also for some time: a socket that was held up delivers many late stamps at once;
- or they persist for a minute on a connection that showed nothing else;
- or the estimate is itself no more than one stamp.
"""

from __future__ import annotations

import time
from collections import deque
from enum import Enum
from typing import NamedTuple

from datastore.timeframes.intervals import SECOND_US

WINDOW_US = 60 * SECOND_US  # whose greatest difference is the estimate
PERSISTENCE_US = 60 * SECOND_US  # for which one source must contradict the estimate on a fresh connection
HELD_UP_US = 20 * SECOND_US  # for which two sources must lie behind it
# After so long without any stamp that is believed, only a fresh connection can show which is wrong.
MAX_DOUBT_US = 150 * SECOND_US
MAX_CERTAIN_AGE_US = 86_400 * SECOND_US  # a time that jumped ahead so long ago was not wrong
# It counts on while the machine is suspended; other systems than Linux have no such clock.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Return the seconds since this machine was started."""
    return time.clock_gettime(_BOOT_CLOCK)


class Source(Enum):
    """Whose clock made a stamp."""

    STREAMER = "streamer"  # welcome and heartbeats
    TRADE = "trade"  # the receipt of a trade
    HANDSHAKE = "handshake"  # the HTTP header Date


class Doubted(NamedTuple):
    """A stamp that contradicts the estimate."""

    at: int  # our count
    found: int  # provider's time - our count
    source: Source


class ClockEstimate:
    """Estimate how far the provider's time is from our count.

    max_jump: less than claims stay behind a stamp, so that one which is wrong by less claims nothing of the future.
    speed: how fast the provider's time runs, which is more than 1 for a simulator only.
    """

    def __init__(self, max_jump: int = 4_500_000, speed: float = 1.0) -> None:
        self._max_jump, self.speed = max_jump, speed
        self.offset: int | None = None  # provider's time - our count; None before the first stamp
        self.confirmed = False  # by a second stamp: only then it is given to others
        self.jumps = 0  # how often doubted stamps were believed, and the offset jumped
        self.certain_until: int | None = None  # the provider's time before it jumped ahead, which may have been wrong
        self.went_back = False  # for the caller to clear: what was claimed by a time that was ahead is wrong
        self._recent: deque[tuple[int, int]] = deque()  # (our count, difference), differences falling
        self._doubted: list[Doubted] = []
        self._doubts_since: int | None = None
        self._fresh = False  # no stamp on this connection agreed with the estimate
        self._handshake: int | None = None  # difference by the first handshake, which can confirm the first stamp

    def now(self, at: int) -> int:
        """Return the provider's time at this count; raise ValueError before the first stamp."""
        if self.offset is None:
            raise ValueError("no stamp of the provider's time yet")
        return at + self.offset

    def resume(self, offset: int, certain_until: int | None = None) -> None:
        """Begin with what was saved, which stamps then confirm or contradict."""
        self.offset, self.confirmed, self.certain_until = offset, True, certain_until

    def connected(self) -> None:
        """Note that the following stamps come over a connection of their own."""
        self._fresh, self._doubts_since = True, None
        self._doubted.clear()

    def _may_differ(self, at: int) -> int:
        """Return how far a stamp may be from the estimate before it is doubted."""
        since = at - self._recent[-1][0] if self._recent else 0
        return round(self._max_jump * self.speed + max(since, 0) * (self.speed - 1))

    def is_doubtful(self, at: int) -> bool:
        """Return whether this connection showed nothing but doubted stamps for so long that a fresh one must decide."""
        return self._doubts_since is not None and at - self._doubts_since > MAX_DOUBT_US

    def observe(self, stamp: int, at: int, source: Source = Source.STREAMER) -> bool:
        """Take a stamp received at this count; return whether it proves something: False while it is doubted."""
        found = stamp - at
        if self.offset is None:
            # A header of whole seconds, maybe of a proxy's, is too little to begin with.
            if source is Source.HANDSHAKE:
                self._handshake = found
                return False
            self.confirmed = self._handshake is not None and abs(found - self._handshake) <= self._max_jump
            self._follow(at, found)
            return True
        close = self._may_differ(at)
        if abs(found - self.offset) <= close:
            self.confirmed, self._fresh, self._doubts_since = True, False, None
            self._doubted.clear()
            self._follow(at, found)
            return True

        if not self._doubted or abs(found - self._doubted[-1].found) > close:
            self._doubted.clear()
        self._doubted.append(Doubted(at, found, source))
        if not self._is_believable():
            if self._doubts_since is None:
                self._doubts_since = at
            return found < self.offset

        now = self.now(at)
        ahead = found > self.offset
        certain = self.certain_until
        if ahead and self.confirmed and (certain is None or certain < now - MAX_CERTAIN_AGE_US):
            self.certain_until = now
        self.went_back |= not ahead and self.confirmed
        self._recent.clear()
        for one in self._doubted:
            self._follow(one.at, one.found)
        self._doubted.clear()
        self.confirmed, self._fresh, self._doubts_since = True, False, None
        self.jumps += 1
        return True

    def _is_believable(self) -> bool:
        first, last = self._doubted[0], self._doubted[-1]
        lasted = last.at - first.at
        if not self.confirmed:
            return len(self._doubted) > 1
        if len({one.source for one in self._doubted}) > 1:
            return last.found > (self.offset or 0) or lasted >= HELD_UP_US
        return self._fresh and lasted >= PERSISTENCE_US

    def _follow(self, at: int, found: int) -> None:
        while self._recent and self._recent[-1][1] <= found:
            self._recent.pop()
        self._recent.append((at, found))
        while self._recent[0][0] < at - WINDOW_US:
            self._recent.popleft()
        self.offset = self._recent[0][1]
