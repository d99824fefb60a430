"""The provider's time, estimated from its own stamps.

All values are microseconds. A stamp is a lower bound of the provider's time at its receipt, so the greatest
difference to the database clock over ten minutes is the best estimate that never runs ahead of the provider.
"""

from __future__ import annotations

from collections import deque

from datastore.timeframes.intervals import SECOND_US

WINDOW_US = 600 * SECOND_US
# A stamp this far ahead of the estimate is believed only when two later ones agree with it.
SUSPICIOUS_LEAD_US = 120 * SECOND_US
MIN_AGREEING_STAMPS = 3


class ClockEstimate:
    """Estimate the provider's clock relative to the database's; the estimate never goes back."""

    def __init__(self, offset: int = 0, floor: int = 0) -> None:
        self.offset = offset
        self.floor = floor  # the greatest time returned so far
        self.measured = False
        self._recent: deque[tuple[int, int]] = deque()  # (database time, offset), offsets falling
        self._suspects: list[int] = []

    def now(self, database_now: int) -> int:
        """Return the provider's time at this database time."""
        self.floor = max(self.floor, database_now + self.offset)
        return self.floor

    def observe(self, stamp: int, database_now: int) -> bool:
        """Take a provider stamp received at this database time; False while it is not believed."""
        found = stamp - database_now
        if found > self.offset + SUSPICIOUS_LEAD_US:
            if self._suspects and abs(found - self._suspects[-1]) > SUSPICIOUS_LEAD_US:
                self._suspects.clear()
            self._suspects.append(found)
            if len(self._suspects) < MIN_AGREEING_STAMPS:
                return False

        self._suspects.clear()
        self.now(database_now)  # a smaller offset makes the time pause, never go back
        while self._recent and self._recent[-1][1] <= found:
            self._recent.pop()
        self._recent.append((database_now, found))
        while self._recent[0][0] < database_now - WINDOW_US:
            self._recent.popleft()
        self.offset = self._recent[0][1]
        self.measured = True
        return True
