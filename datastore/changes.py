"""Which stretches changed their certificate, and with which version: for those who follow a market."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F

from datastore.models import CoverageChange, Market

KEPT = 10_000  # versions: who is further behind starts afresh


def note_hole(market: Market, resolution: int, start: datetime, stop: datetime) -> None:
    """Note under the market's lock that a hole opened, changed or was closed; the caller raises the version."""
    CoverageChange.objects.create(
        market=market,
        version=market.version + 1,
        what=CoverageChange.What.HOLE,
        resolution=resolution,
        start=start,
        stop=stop,
    )


def forget_old_changes() -> int:
    """Delete what nobody may ask for any more; return how many."""
    return CoverageChange.objects.filter(version__lte=F("market__version") - KEPT).delete()[0]
