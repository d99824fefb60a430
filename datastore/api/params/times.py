"""Times as they are written in a query: seconds, milliseconds or ISO 8601; always aware UTC inside."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import overload

from datastore.timeframes.intervals import EPOCH
from datastore.timeframes.timeframe import BEGINNING

MILLISECOND = timedelta(milliseconds=1)
# The upper end keeps seconds (10 digits) and milliseconds (12 or 13) apart.
EARLIEST = BEGINNING
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
ACCEPTED = "seconds or milliseconds since 1970, or ISO 8601 such as 2026-11-23 or 2026-11-23T14:30:00Z"
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
# "+01:00" arrives as " 01:00" if a client forgot to escape the plus.
_LOST_PLUS = re.compile(r"(.*[T ]\d\d:?\d\d\S*) (\d\d(?::?\d\d)?)", re.ASCII)


def parse_instant(text: str) -> datetime:
    """Return the time in UTC; raise ValueError with a sentence if text names none between 2000 and 2100."""
    instant: datetime | None = None
    if _WHOLE.fullmatch(text):
        # Seconds and milliseconds differ by size: at most one reading of a number is plausible.
        for unit in (timedelta(seconds=1), MILLISECOND):
            if (EARLIEST - EPOCH) // unit <= int(text) < (LATEST - EPOCH) // unit:
                instant = EPOCH + int(text) * unit
    else:
        lost = _LOST_PLUS.fullmatch(text)
        with suppress(ValueError, OverflowError):
            instant = datetime.fromisoformat(f"{lost[1]}+{lost[2]}" if lost else text)
            instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    if instant is None or not EARLIEST <= instant < LATEST:
        raise ValueError(f"is not a time between 2000 and 2100. Accepted: {ACCEPTED}.")
    return instant


@overload
def to_ms(instant: datetime) -> int: ...
@overload
def to_ms(instant: None) -> None: ...
@overload
def to_ms(instant: datetime | None) -> int | None: ...
def to_ms(instant: datetime | None) -> int | None:
    """Return whole milliseconds since 1970, floored; None for no time."""
    return None if instant is None else (instant - EPOCH) // MILLISECOND


def clamped_ms(instant: datetime) -> int:
    """Return the nearest milliseconds that parse_instant() accepts: a bucket may begin or end beyond them."""
    return min(max(to_ms(instant), to_ms(EARLIEST)), to_ms(LATEST) - 1)
