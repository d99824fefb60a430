"""A market's trades as its venue numbers them: one by one, or as aggregates of one time, side and price."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from simulator.numbering import Numbering
from simulator.trades import MINUTE_NS, Source, Trade


class NumberedTrade(NamedTuple):
    """One trade, or one aggregate of the trades `first` to `last`; time in ns, numbers in the source's units."""

    id: int
    first: int
    last: int
    ts: int
    sell: bool  # the taker sold
    price: int
    amount: int


class Ledger:
    """All trades of a market by their ids. A venue knows a trade from its exchange time on."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @property
    def numbers(self) -> Numbering:
        """Return how its rows are counted."""
        return self.source.numbers

    def count(self, until: int) -> int:
        """Return how many rows there are up to a time, which is included."""
        minute, within = divmod(until, MINUTE_NS)
        return self.numbers.before(minute) + self._places_until(minute, within)

    def rows(self, start: int, stop: int) -> list[NumberedTrade]:
        """Return the rows of the numbers [start, stop), all of which must exist."""
        found: list[NumberedTrade] = []
        while start + len(found) < stop:
            number = start + len(found)
            minute = self.numbers.minute_of(number)
            before = self.numbers.before(minute)
            found += self._in_minute(minute, number - before, stop - before)
        return found

    def number_of(self, id: int) -> int:
        """Return how many rows have a lower id."""
        return self.source.number_of(id)

    def between(self, after: int, until: int) -> list[NumberedTrade]:
        """Return the rows of (after, until]."""
        return self.rows(self.count(after), self.count(until))

    def _places_until(self, minute: int, within: int) -> int:
        return bisect_right(self.source.stamps(minute), within)

    def _in_minute(self, minute: int, start: int, stop: int) -> list[NumberedTrade]:
        """Return a minute's rows at the places [start, stop), as many of them as it has."""
        return [_single(trade) for trade in self.source.part(minute, start, stop)]


class AggregateLedger(Ledger):
    """All aggregates of a market, numbered from 1."""

    @property
    def numbers(self) -> Numbering:
        """Return how aggregates are counted."""
        return self.source.aggregate_numbers

    def number_of(self, id: int) -> int:
        """Return how many aggregates have a lower id."""
        return max(0, id - 1)

    def _places_until(self, minute: int, within: int) -> int:
        # All trades of an aggregate have one time, so it is whole as soon as its first trade is known.
        return bisect_left(self.source.starts(minute), bisect_right(self.source.stamps(minute), within))

    def _in_minute(self, minute: int, start: int, stop: int) -> list[NumberedTrade]:
        starts = [*self.source.starts(minute), len(self.source.stamps(minute))]
        stop = min(stop, len(starts) - 1)
        trades = self.source.part(minute, starts[start], starts[stop])
        first, id = starts[start], self.numbers.before(minute) + start + 1
        return [
            _merged(id + at, trades[starts[start + at] - first : starts[start + at + 1] - first])
            for at in range(stop - start)
        ]


def _single(trade: Trade) -> NumberedTrade:
    id = int(trade.id)
    return NumberedTrade(id, id, id, trade.ts, trade.sell, trade.price, trade.amount)


def _merged(id: int, trades: list[Trade]) -> NumberedTrade:
    one = trades[0]
    amount = sum(trade.amount for trade in trades)
    return NumberedTrade(id, int(one.id), int(trades[-1].id), one.ts, one.sell, one.price, amount)
