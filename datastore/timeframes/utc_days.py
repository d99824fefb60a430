"""Whole UTC days, and the buckets in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from datastore.timeframes.intervals import EPOCH

DAY = timedelta(days=1)


def floor_to(time: datetime, seconds: int) -> datetime:
    """Return the start of the bucket of this many seconds (a divisor of a day) that holds a time."""
    return time - (time - EPOCH) % timedelta(seconds=seconds)


def floor_day(time: datetime) -> datetime:
    """Return the midnight before a time, or the time itself where it is one."""
    return floor_to(time, 86_400)


def ceil_day(time: datetime) -> datetime:
    """Return the midnight after a time, or the time itself where it is one."""
    return -((EPOCH - time) // DAY) * DAY + EPOCH


def days_of(times: Iterable[datetime]) -> list[datetime]:
    """Return the days that hold any of these times, in order."""
    return sorted({floor_day(time) for time in times})


def split_by_day(start: datetime, stop: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield [start, stop) cut at every midnight."""
    while start < stop:
        end = min(floor_day(start) + DAY, stop)
        yield start, end
        start = end
