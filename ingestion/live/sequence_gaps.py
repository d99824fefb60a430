"""The provider's numbering of a market's trades: which numbers are still missing.

CCSEQ rises by one with each trade that the provider discovers, not in the order of time, so a number may come a
little later than its successor; one that stays away is a trade we never received.
"""

from __future__ import annotations

# Beyond this a jump is counted as one loss instead of being watched number by number.
MAX_WATCHED_NUMBERS = 10_000


class SequenceCheck:
    """Watch one market's numbers on one connection."""

    def __init__(self) -> None:
        self._highest: int | None = None
        self._stamp = 0  # newest when the highest came
        self._missing: dict[int, tuple[int, int]] = {}  # number -> stamps when it was missed, and before it
        self._lost = 0

    def note(self, number: int, stamp: int) -> None:
        """Take a number, received when the newest stamp was this."""
        highest = self._highest
        if highest is not None and highest - MAX_WATCHED_NUMBERS < number <= highest:
            self._missing.pop(number, None)
            return
        if highest is not None and number <= highest:
            self._lost += 1  # the numbering began anew: nobody can say what was lost with it
        if highest is not None and number > highest + 1:
            self._miss(highest + 1, number, stamp)
        self._highest, self._stamp = number, stamp

    def _miss(self, first: int, after: int, stamp: int) -> None:
        if after - first > MAX_WATCHED_NUMBERS:
            self._lost += after - first
        else:
            self._missing.update(dict.fromkeys(range(first, after), (stamp, self._stamp)))

    def settle(self) -> None:
        """Forget what is missing so far: holes among replayed trades are no holes of this subscription."""
        self._missing.clear()
        self._lost = 0

    @property
    def whole_until(self) -> int | None:
        """Return the stamp up to which no number is missing, None where none is: the missing trade came after it."""
        return next(iter(self._missing.values()))[1] if self._missing else None

    def overdue(self, stamp: int) -> int:
        """Return, and forget, how many numbers were missed at or before this stamp and have not come."""
        gone = [number for number, (missed, _) in self._missing.items() if missed <= stamp] if self._missing else []
        for number in gone:
            del self._missing[number]
        lost, self._lost = self._lost, 0
        return lost + len(gone)
