"""Verify stored candles by computing them again straight from their trades, and count what could be checked at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from datastore.db.queries import fetch_all
from datastore.models import Market
from datastore.wording import counted


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


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found, and how much it could look at; candles of all three stored resolutions together."""

    differences: Sequence[Difference]
    checked: int  # candles that are stored or that their trades make
    trades: int  # kept trades that they were computed from
    trades_deleted: int  # candles whose trades are no longer kept
    from_provider: int  # the provider's own candles, of which we hold no trade

    @property
    def unchecked(self) -> list[str]:
        """Return how many candles could not be checked and why, for people; empty if all could."""
        found = [
            (self.trades_deleted, "their trades are no longer kept"),
            (self.from_provider, "they are the provider's own"),
        ]
        return [f"{counted(number, 'candle')} cannot be checked: {why}" for number, why in found if number]


def differences(market: Market, start: datetime, stop: datetime) -> list[Difference]:
    """Return every candle of the UTC days touched by [start, stop) that differs from its trades in any digit.

    Days whose trades retention has deleted are left out.
    """
    rows = fetch_all("select * from differences(%s, %s, %s)", [market.pk, start, stop])
    return [Difference.of(*row) for row in rows]


def verification(market: Market, start: datetime, stop: datetime, found: Sequence[Difference]) -> Verification:
    """Return the differences found in the UTC days touched by [start, stop) with the counts of these days."""
    ((stored, trades, trades_deleted, from_provider),) = fetch_all(
        "select * from verifiable(%s, %s, %s)", [market.pk, start, stop]
    )
    lacking = sum(one.stored is None for one in found)
    return Verification(found, stored + lacking, trades, trades_deleted, from_provider)
