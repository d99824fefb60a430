"""Half-open intervals [start, stop) of time in microseconds since 1970, and sets of them.

A set is a sequence of intervals in ascending order that neither overlap nor touch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from streaming.records import Micros

Interval = tuple[Micros, Micros]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000


def moment(micros: Micros) -> datetime:
    """Return the UTC time of microseconds since 1970; raise OverflowError beyond the year 9999."""
    return EPOCH + timedelta(microseconds=micros)


def micros_of(time: datetime) -> Micros:
    """Return whole microseconds since 1970, the database's own precision."""
    return (time - EPOCH) // timedelta(microseconds=1)


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the set that covers all these intervals, which may come in any order and overlap."""
    joined: list[Interval] = []
    for start, stop in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        elif start < stop:
            joined.append((start, stop))
    return joined


def clip(times: Sequence[Interval], start: Micros, stop: Micros) -> list[Interval]:
    """Return the part of the set within [start, stop); the cost depends on the result, not on the set."""
    found = []
    for index in range(max(bisect_right(times, (start,)) - 1, 0), len(times)):
        low, high = times[index]
        if low >= stop:
            break
        if high > start:
            found.append((max(low, start), min(high, stop)))
    return found


def subtract(times: Sequence[Interval], less: Sequence[Interval]) -> list[Interval]:
    """Return the time that is in the first set and not in the second."""
    left: list[Interval] = []
    index = 0
    for start, stop in times:
        while index < len(less) and less[index][1] <= start:
            index += 1
        at, probe = start, index
        while probe < len(less) and less[probe][0] < stop:
            if less[probe][0] > at:
                left.append((at, less[probe][0]))
            at = max(at, less[probe][1])
            probe += 1
        if at < stop:
            left.append((at, stop))
    return left


def whole(times: Iterable[Interval], length: int) -> list[Interval]:
    """Return the set cut down to whole buckets of `length` microseconds, counted from 1970."""
    inner = ((-(-start // length) * length, stop // length * length) for start, stop in times)
    return [(start, stop) for start, stop in inner if start < stop]


def end_of(times: Sequence[Interval], at: Micros) -> Micros:
    """Return the end of the interval that holds `at`, or `at` itself if none does."""
    index = bisect_right(times, at, key=lambda interval: interval[0]) - 1
    return max(at, times[index][1]) if index >= 0 else at
