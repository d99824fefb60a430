"""The windows in which the provider counts calls: its second, minute, hour, day and month, in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from datastore.timeframes.intervals import moment

LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
WINDOWS = (*LENGTHS, "month")  # the shortest first
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_UNTIMED_S = 60.0  # where the provider's time is not known, neither is the end of a longer window


def used_up(rate: object) -> list[str]:
    """Return the windows that have no call left, from calls made and allowed, or from the older calls left."""
    made, limits, left = (_counts(rate, name) for name in ("calls_made", "max_calls", "calls_left"))
    return [
        window
        for window in WINDOWS
        if (window in made and window in limits and made[window] >= limits[window]) or left.get(window, 1) <= 0
    ]


def seconds_left(windows: Iterable[str], at: int | None) -> float:
    """Return the seconds until all these windows have begun again, 0 without any.

    at: the provider's time in microseconds; None: the length of the longest window is returned, a minute at most.
    """
    if at is None:
        lengths = (LENGTHS[window].total_seconds() if window in LENGTHS else MAX_UNTIMED_S for window in windows)
        return min(max(lengths, default=0.0), MAX_UNTIMED_S)
    now = moment(at)
    return max(((_end(window, now) - now).total_seconds() for window in windows), default=0.0)


def _end(window: str, now: datetime) -> datetime:
    if window == "month":
        first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (first + timedelta(days=32)).replace(day=1)
    length = LENGTHS[window]
    return EPOCH + ((now - EPOCH) // length + 1) * length


def _counts(rate: object, name: str) -> dict[str, int]:
    """Return the counts that can be read, by window."""
    found = rate.get(name) if isinstance(rate, dict) else None
    counts: dict[str, int] = {}
    for window, count in found.items() if isinstance(found, dict) else ():
        with suppress(msgspec.ValidationError):
            counts[window] = msgspec.convert(count, int, strict=False)
    return counts
