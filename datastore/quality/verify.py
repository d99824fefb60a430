"""Verify stored candles by computing them again straight from their trades."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datastore.db.queries import fetch_all
from datastore.models import Market


@dataclass(frozen=True, slots=True)
class Difference:
    """A candle that differs from its trades; as text: open, high, low, close, volume, quote volume, trades."""

    resolution: int  # seconds
    open_time: datetime
    stored: tuple[str, ...] | None  # None: not stored
    computed: tuple[str, ...] | None  # None: no trades

    @classmethod
    def of(
        cls, resolution: int, open_time: datetime, stored: list[str] | None, computed: list[str] | None
    ) -> Difference:
        """Return the difference in a row of the database."""
        return cls(resolution, open_time, tuple(stored) if stored else None, tuple(computed) if computed else None)

    @property
    def key(self) -> tuple[int, datetime]:
        """Return which candle it is: resolution in seconds and open time."""
        return self.resolution, self.open_time


def differences(market: Market, start: datetime, stop: datetime) -> list[Difference]:
    """Return every candle of the UTC days touched by [start, stop) that differs from its trades in any digit.

    Days whose trades retention has deleted are left out.
    """
    rows = fetch_all("select * from differences(%s, %s, %s)", [market.pk, start, stop])
    return [Difference.of(*row) for row in rows]
