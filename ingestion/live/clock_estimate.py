"""The provider's time, told from its own stamps.

All values are microseconds. A stamp is a lower bound of the provider's time at its receipt, so the greatest
difference to the database clock over ten minutes is the best estimate that never runs ahead of the provider.
"""

from __future__ import annotations

from collections import deque

SECOND = 1_000_000
WINDOW_US = 600 * SECOND
# A stamp this far ahead of the estimate is believed only when two later ones agree with it.
SUSPICIOUS_LEAD_US = 120 * SECOND
MIN_AGREEING_STAMPS = 3


class ClockEstimate:
    """Estimate the provider's clock relative to the database's, which never goes back."""

    def __init__(self, offset: int = 0, floor: int = 0) -> None:
        self.offset = offset
        self.floor = floor  # the greatest time given out
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
        if found > self.offset + SUSPICIOUS_LEAD_US and not self._confirmed(found):
            return False
        self._remember(found, database_now)
        return True

    def _confirmed(self, found: int) -> bool:
        if self._suspects and abs(found - self._suspects[-1]) > SUSPICIOUS_LEAD_US:
            self._suspects.clear()
        self._suspects.append(found)
        return len(self._suspects) >= MIN_AGREEING_STAMPS

    def _remember(self, found: int, database_now: int) -> None:
        self._suspects.clear()
        self.now(database_now)  # a smaller offset is taken up by standing still, never by going back
        while self._recent and self._recent[-1][1] <= found:
            self._recent.pop()
        self._recent.append((database_now, found))
        while self._recent[0][0] < database_now - WINDOW_US:
            self._recent.popleft()
        self.offset = self._recent[0][1]
        self.measured = True
