"""How many things of a kind a market has had before each minute, and which minute holds one by its number."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Protocol


class Numbering(Protocol):
    """Numbers from 0 for all trades of a market, or for all its aggregates, in the exchange's order."""

    def before(self, minute: int) -> int:
        """Return how many there are before a minute."""

    def minute_of(self, number: int) -> int:
        """Return the minute that holds the one of this number, which must exist."""


class HourlyNumbering:
    """Numbers of a market whose hours all hold equally many."""

    def __init__(self, listed: int, per_hour: int, before: Callable[[int], list[int]]) -> None:
        """Begin with the hour `listed`; `before` returns for an hour how many there are before each of its minutes."""
        self._listed, self._per_hour, self._before = listed, per_hour, before

    def before(self, minute: int) -> int:
        """Return how many there are before a minute."""
        hour, at = divmod(minute, 60)
        return (hour - self._listed) * self._per_hour + self._before(hour)[at] if hour >= self._listed else 0

    def minute_of(self, number: int) -> int:
        """Return the minute that holds the one of this number."""
        hours, rest = divmod(number, self._per_hour)
        hour = self._listed + hours
        return hour * 60 + bisect_right(self._before(hour), rest) - 1


class ListedNumbering:
    """Numbers of a market that is known as a whole."""

    def __init__(self, counts: Iterable[tuple[int, int]]) -> None:
        """Take each minute that holds some, in order, with how many."""
        rows = list(counts)
        self._minutes = [minute for minute, _ in rows]
        self._before = list(accumulate((count for _, count in rows), initial=0))

    def before(self, minute: int) -> int:
        """Return how many there are before a minute."""
        return self._before[bisect_left(self._minutes, minute)]

    def minute_of(self, number: int) -> int:
        """Return the minute that holds the one of this number."""
        return self._minutes[bisect_right(self._before, number) - 1]
