"""Whole UTC days, and the buckets in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from datastore.timeframes.intervals import EPOCH

DAY = timedelta(days=1)


def floor_to(time: datetime, seconds: int) -> datetime:
    """Return the start of the bucket that holds a time; `seconds` is its length, a divisor of a day."""
    return time - (time - EPOCH) % timedelta(seconds=seconds)


def floor_day(time: datetime) -> datetime:
    """Return the last midnight at or before a time."""
    return floor_to(time, 86_400)


def ceil_day(time: datetime) -> datetime:
    """Return the first midnight at or after a time."""
    return -((EPOCH - time) // DAY) * DAY + EPOCH


def days_of(times: Iterable[datetime]) -> list[datetime]:
    """Return the midnights of the days that hold these times, in order, each once."""
    return sorted({floor_day(time) for time in times})


def split_by_day(start: datetime, stop: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield [start, stop) cut at every midnight."""
    while start < stop:
        end = min(floor_day(start) + DAY, stop)
        yield start, end
        start = end
