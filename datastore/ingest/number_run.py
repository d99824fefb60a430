"""What the provider's own numbers (CCSEQ) prove on one connection. Pure; times in microseconds of the provider's clock.

A number is given to a trade when the provider discovers it, which is after it was traded and within GRACE. If all
numbers from one trade to another came, then all is here that was discovered between these two: so all that was traded
after the first was discovered, and GRACE before the second was traded. After the last number they say nothing.

Numbers are compared within one connection only: between two, the numbering may have started over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from datastore.timeframes.intervals import SECOND_US
from streaming.records import Micros, Trade

MAX_MISSING = 1_000  # of a run that waits for numbers; more of them are lost
MAX_WAIT_US = 600 * SECOND_US  # for a number that the Producer does not miss
STARTED_OVER = 10_000  # so far below the newest, a number is of another numbering; a nearer one repeats or is late


@dataclass(slots=True)
class NumberRun:
    """The numbers since which none is missing, but those in `missing`, which may still come."""

    newest: int = -1  # the greatest number; -1: none came
    since: Micros | None = None  # what the run proves begins here; None: nothing is counted
    reach: Micros = 0  # and ends here, as soon as no number is missing
    proven: Micros = 0  # and now
    missing: set[int] = field(default_factory=set)
    names: dict[int, tuple[Micros, str]] = field(default_factory=dict)  # number -> trade, of this batch

    @classmethod
    def stored(cls, row: list[int] | None) -> NumberRun:
        """Return what as_row() gave; None: nothing is known."""
        if row is None:
            return cls()
        newest, since, reach, proven, *missing = row
        return cls(newest, since or None, reach, proven, set(missing))

    def as_row(self) -> list[int]:
        """Return the run as numbers, to be stored."""
        return [self.newest, self.since or 0, self.reach, self.proven, *sorted(self.missing)]

    def fits(self, trade: Trade, late: Micros) -> bool:
        """Take a numbered trade; False if it does not continue the run: then call restart().

        late: how much later than its own time a trade may be discovered, and how coarse times are.
        """
        number = trade.seq or 0
        if self.since is None:
            return False
        if number == self.newest + 1:
            self.newest = number
        elif number > self.newest:
            if number - self.newest + len(self.missing) > MAX_MISSING:
                return False
            self.missing.update(range(self.newest + 1, number))
            self.newest = number
        elif number in self.missing:
            self.missing.discard(number)
        else:
            return self.names.get(number) == (trade.ts, trade.id)
        self.names[number] = trade.ts, trade.id
        ends = min(trade.ts, trade.received_at) - late
        self.reach = max(self.reach, ends)
        if not self.missing:
            self.proven = self.reach
        return ends - max(self.proven, self.since) <= MAX_WAIT_US or not self.missing

    def end(self) -> None:
        """Count nothing: a number may be lost. A late one must not begin a run that its successors would not join."""
        self.since = None
        self.missing.clear()

    def restart(self, trade: Trade, late: Micros) -> None:
        """End the run, and begin one with this trade if its number is new."""
        self.end()
        number = trade.seq or 0
        if self.newest - STARTED_OVER < number <= self.newest:
            return
        self.newest = number
        self.names[number] = trade.ts, trade.id
        self.since = max(trade.received_at, trade.ts + late)
        self.reach = self.proven = 0
