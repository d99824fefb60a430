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
        self._stamp = 0  # newest when the highest came
        self._missing: dict[int, tuple[int, int]] = {}  # number -> newest stamp when it was missed, and before that
        self._lost = 0

    def note(self, number: int, stamp: int) -> None:
        """Take a number, received when this was the newest stamp."""
        highest = self._highest
        if highest is not None and highest - MAX_WATCHED_NUMBERS < number <= highest:
            self._missing.pop(number, None)
            return
        if highest is not None and number <= highest:
            self._lost += 1  # the numbering has started over: what was lost with it cannot be known
        if highest is not None and number > highest + 1:
            first = highest + 1
            if number - first > MAX_WATCHED_NUMBERS:
                self._lost += number - first
            else:
                self._missing.update(dict.fromkeys(range(first, number), (stamp, self._stamp)))
        self._highest, self._stamp = number, stamp

    def settle(self) -> None:
        """Forget what is missing so far: gaps among replayed trades are no gaps of this subscription."""
        self._missing.clear()
        self._lost = 0

    @property
    def complete_until(self) -> int | None:
        """Return the stamp before the first missing trade; None if no number is missing."""
        return next(iter(self._missing.values()))[1] if self._missing else None

    def overdue(self, stamp: int) -> int:
        """Return, and forget, how many numbers were missed at or before this stamp and have not come."""
        gone = [number for number, (missed, _) in self._missing.items() if missed <= stamp] if self._missing else []
        for number in gone:
            del self._missing[number]
        lost, self._lost = self._lost, 0
        return lost + len(gone)
