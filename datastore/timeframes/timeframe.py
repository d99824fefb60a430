"""The timeframes: three are stored, the others are computed from them when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
BASE_SECONDS = (MINUTE_S, HOUR_S, DAY_S)
# A Monday: buckets of every length up to a week are counted from here.
ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # no venue traded before


@dataclass(frozen=True, slots=True)
class Timeframe:
    """One timeframe: the stored resolution it is computed from and its length, in seconds; 0 for a UTC month."""

    name: str
    base: int
    seconds: int

    def floor(self, time: datetime) -> datetime:
        """Return the start of the bucket that holds this time."""
        if not self.seconds:
            return time.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        length = timedelta(seconds=self.seconds)
        return ORIGIN + (time - ORIGIN) // length * length

    def ceil(self, time: datetime) -> datetime:
        """Return the start of the first bucket that begins at this time or later."""
        floor = self.floor(time)
        return floor if floor == time else self.after(floor)

    def after(self, start: datetime, count: int = 1) -> datetime:
        """Return the start of the bucket `count` buckets after the one at `start`; a negative count goes back."""
        if self.seconds:
            return start + timedelta(seconds=self.seconds) * count
        years, month = divmod(start.month - 1 + count, 12)
        return start.replace(year=start.year + years, month=month + 1)

    def between(self, start: datetime, stop: datetime) -> int:
        """Return how many buckets lie between two bucket starts."""
        if self.seconds:
            return (stop - start) // timedelta(seconds=self.seconds)
        return (stop.year - start.year) * 12 + stop.month - start.month


TIMEFRAMES = {
    timeframe.name: timeframe
    for timeframe in (
        Timeframe("1m", MINUTE_S, 60),
        Timeframe("3m", MINUTE_S, 180),
        Timeframe("5m", MINUTE_S, 300),
        Timeframe("15m", MINUTE_S, 900),
        Timeframe("30m", MINUTE_S, 1800),
        Timeframe("1h", HOUR_S, 3600),
        Timeframe("2h", HOUR_S, 7200),
        Timeframe("4h", HOUR_S, 14400),
        Timeframe("6h", HOUR_S, 21600),
        Timeframe("12h", HOUR_S, 43200),
        Timeframe("1d", DAY_S, 86400),
        Timeframe("1w", DAY_S, 604800),
        Timeframe("1M", DAY_S, 0),
    )
}
# The stored timeframes, by their length in seconds.
BASE = {timeframe.seconds: timeframe for timeframe in TIMEFRAMES.values() if timeframe.seconds == timeframe.base}
