"""Is a market's feed alive, since when not, and is the last day of its minutes complete?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from datastore.coverage.gaps import final_gaps, gap_segments
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Coverage, Market
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import micros_of, subtract
from datastore.timeframes.timeframe import BASE, MINUTE_S

COMPLETE_FOR = timedelta(days=1)
MAX_GAPS_NAMED = 5  # per market; the others are counted


LIVE, STALE, NONE = "live", "stale", "none"


class ProvenMarket(NamedTuple):
    """How far the feed of a followed market has proven it."""

    market_id: int
    symbol: str
    live_stop: datetime | None  # None: the feed has proven nothing yet
    age: float | None  # seconds of the provider's time since then; it grows without bound while the feed is dead
    feed_open: bool

    @property
    def state(self) -> str:
        """Return live, stale, or none if the feed has proven nothing yet."""
        return feed_state(self.feed_open, None if self.age is None else round(self.age * 1000))


def proven_markets() -> list[ProvenMarket]:
    """Return the followed markets by symbol, in one query."""
    return [ProvenMarket(*row) for row in fetch_all(statement("metrics", "proven"))]


def feed_state(is_open: bool, freshness: int | None) -> str:
    """Return none (nothing was ever proven), live, or stale: the feed ended or has been silent for STALE_AFTER.

    freshness: milliseconds since the newest proven time.
    """
    if freshness is None:
        return NONE
    return LIVE if is_open and freshness <= settings.STALE_AFTER * 1000 else STALE


def freshness_problems() -> dict[str, list[str]]:
    """Return by followed market why it is stale or incomplete; an empty list if it is neither."""
    now = provider_now()
    return {market.symbol: _problems(market, now) for market in Market.objects.filter(followed=True)}


def _problems(market: Market, now: datetime) -> list[str]:
    first = Coverage.objects.filter(market=market, source=Coverage.Source.LIVE, resolution=0).order_by("start").first()
    if first is None or market.live_stop is None:
        return ["its feed has proven nothing yet"]
    silent = (now - market.live_stop).total_seconds()
    problems = [f"its feed has proven nothing for {silent:.0f} s"] if silent > settings.STALE_AFTER else []

    # A gap that is being repaired counts until it is filled; a final one never does.
    start = BASE[MINUTE_S].ceil(max(first.start, now - COMPLETE_FOR))
    final = final_gaps(market, MINUTE_S, start, now)
    found = gap_segments(market, MINUTE_S, start, BASE[MINUTE_S].ceil(now))
    gaps = [gap for gap in found if subtract([(micros_of(gap.start), micros_of(gap.stop))], final)]
    for gap in gaps[-MAX_GAPS_NAMED:]:
        problems.append(f"gap {gap.start:%Y-%m-%d %H:%M} to {gap.stop:%H:%M}: {gap.reason or 'unknown'}")
    if len(gaps) > MAX_GAPS_NAMED:
        problems.append(f"and {len(gaps) - MAX_GAPS_NAMED} gaps more")
    return problems
