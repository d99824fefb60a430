"""Prove stored candles by making them again straight from their trades."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from datastore.models import Market
from datastore.queries import fetch_all


@dataclass(frozen=True, slots=True)
class Difference:
    """A candle that is not what its trades make; as text: open, high, low, close, volume, quote volume, trades."""

    resolution: int  # seconds
    open_time: datetime
    stored: tuple[str, ...] | None  # None: not stored
    computed: tuple[str, ...] | None  # None: no trades


def differences(market: Market, start: datetime, stop: datetime) -> list[Difference]:
    """Return every candle of the UTC days that [start, stop) touches that differs in a digit from its trades.

    Days whose trades retention has deleted are left out.
    """
    rows = fetch_all("select * from differences(%s, %s, %s)", [market.pk, start, stop])
    return [
        Difference(resolution, open_time, stored and tuple(stored), computed and tuple(computed))
        for resolution, open_time, stored, computed in rows
    ]
