"""The provider's numbering of a market's trades: which numbers are still missing.

CCSEQ rises by one with each trade that the provider discovers, not in the order of time, so a number may come a
little later than its successor; a number that never comes is a trade we did not receive.
"""

from __future__ import annotations

# A longer jump is counted as one loss instead of being watched number by number.
MAX_WATCHED_NUMBERS = 10_000


class SequenceCheck:
    """Watch one market's numbers on one connection; stamps are the provider's, in microseconds."""

    def __init__(self) -> None:
        self._highest: int | None = None
        self._discovered = 0  # when the provider discovered the trade of the highest number
        self._missing: dict[int, tuple[int, int]] = {}  # number -> newest stamp when it was missed, `_discovered` then
        self._lost = 0
        self._lost_after: int | None = None  # `_discovered` before the first of these

    def note(self, number: int, stamp: int, discovered: int | None = None) -> None:
        """Take a number, received when this was the newest stamp.

        discovered: the provider's own stamp of its trade, if it has one.
        """
        highest = self._highest
        if highest is not None and highest - MAX_WATCHED_NUMBERS < number <= highest:
            self._missing.pop(number, None)
            return
        if highest is not None and number <= highest:
            self._lose(1)  # the numbering has started over: what was lost with it cannot be known
        if highest is not None and number > highest + 1:
            first = highest + 1
            if number - first > MAX_WATCHED_NUMBERS:
                self._lose(number - first)
            else:
                self._missing.update(dict.fromkeys(range(first, number), (stamp, self._discovered)))
        self._highest, self._discovered = number, stamp if discovered is None else min(discovered, stamp)

    def _lose(self, count: int) -> None:
        self._lost += count
        if self._lost_after is None:
            self._lost_after = self._discovered

    def settle(self) -> None:
        """Forget what is missing: it is no gap of this subscription, or the span has ended for it."""
        self._missing.clear()
        self._lost, self._lost_after = 0, None

    @property
    def complete_until(self) -> int | None:
        """Return the stamp after which the first missing trade was discovered; None if no number is missing."""
        after = [next(iter(self._missing.values()))[1]] if self._missing else []
        if self._lost_after is not None:
            after.append(self._lost_after)
        return min(after, default=None)

    def overdue(self, stamp: int) -> int:
        """Return how many numbers were missed at or before this stamp and have not come."""
        return self._lost + sum(missed <= stamp for missed, _ in self._missing.values())
