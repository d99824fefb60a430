"""Times: integers in milliseconds or microseconds on the wire, aware datetimes in UTC here."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import overload

Instant = datetime | date | str | int | float
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND, MILLISECOND = timedelta(microseconds=1), timedelta(milliseconds=1)


@overload
def from_ms(ms: int) -> datetime: ...
@overload
def from_ms(ms: int | None) -> datetime | None: ...
def from_ms(ms: int | None) -> datetime | None:
    """Return milliseconds since 1970 as a time; None for none."""
    return None if ms is None else EPOCH + ms * MILLISECOND


def to_ms(instant: datetime | None) -> int | None:
    """Return a time as whole milliseconds since 1970; None for none."""
    return None if instant is None else (instant - EPOCH) // MILLISECOND


def query_text(name: str, instant: Instant) -> str:
    """Return a time as the API reads it; a number is seconds or milliseconds, which it knows by the size.

    Raises ValueError, which names the argument, for a datetime without a time zone: nobody knows which it means.
    """
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            raise ValueError(f"{name}: {instant} has no time zone; add one, such as tzinfo=UTC")
        return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(instant, date):
        return instant.isoformat()
    if isinstance(instant, float):
        return query_text(name, EPOCH + timedelta(seconds=instant)) if instant < 1e11 else str(int(instant))
    return str(instant)
