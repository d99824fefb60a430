"""Is a market's feed alive, and is the last day of its minutes whole? A fixed number of questions per market."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from datastore.coverage.gaps import final_gaps, gap_segments
from datastore.models import Coverage, Market
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import micros_of, subtract
from datastore.timeframes.timeframe import BASE, MINUTE_S

WHOLE_FOR = timedelta(days=1)
NAMED = 5  # gaps of a market that are named; the others are counted


def doubts() -> dict[str, list[str]]:
    """Return by followed market why it is not fresh or not whole; none where it is both."""
    now = provider_now()
    return {market.symbol: _doubts(market, now) for market in Market.objects.filter(followed=True)}


def _doubts(market: Market, now: datetime) -> list[str]:
    began = Coverage.objects.filter(market=market, source=Coverage.Source.LIVE, resolution=0).order_by("start").first()
    if began is None or market.live_stop is None:
        return ["its feed has proven nothing yet"]
    silent = (now - market.live_stop).total_seconds()
    stale = [f"its feed has proven nothing for {silent:.0f} s"] if silent > settings.STALE_AFTER else []
    start = BASE[MINUTE_S].ceil(max(began.start, now - WHOLE_FOR))
    return stale + _gaps(market, start, now)


def _gaps(market: Market, start: datetime, stop: datetime) -> list[str]:
    """Return the gaps that are not final; one that is being repaired is a gap until it is filled."""
    final = final_gaps(market, MINUTE_S, start, stop)
    found = gap_segments(market, MINUTE_S, start, BASE[MINUTE_S].ceil(stop))
    holes = [hole for hole in found if subtract([(micros_of(hole.start), micros_of(hole.stop))], final)]
    named = [f"gap {one.start:%Y-%m-%d %H:%M} to {one.stop:%H:%M}: {one.reason or 'unknown'}" for one in holes[-NAMED:]]
    return named + ([f"and {len(holes) - NAMED} gaps more"] if len(holes) > NAMED else [])
