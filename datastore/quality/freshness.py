"""Is a market's feed alive, and is the last day of its minutes complete? A fixed number of queries per market."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from datastore.coverage.gaps import final_gaps, gap_segments
from datastore.models import Coverage, Market
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import micros_of, subtract
from datastore.timeframes.timeframe import BASE, MINUTE_S

COMPLETE_FOR = timedelta(days=1)
MAX_GAPS_NAMED = 5  # per market; the others are counted


def freshness_problems() -> dict[str, list[str]]:
    """Return by followed market why it is stale or incomplete; an empty list if it is neither."""
    now = provider_now()
    return {market.symbol: _problems(market, now) for market in Market.objects.filter(followed=True)}


def _problems(market: Market, now: datetime) -> list[str]:
    problems = [f"{market.refusal}, since {market.refused_since:%Y-%m-%d %H:%M:%S}"] if market.refusal else []
    first = Coverage.objects.filter(market=market, source=Coverage.Source.LIVE, resolution=0).order_by("start").first()
    if first is None or market.live_stop is None:
        return [*problems, "its feed has proven nothing yet"]
    silent = (now - market.live_stop).total_seconds()
    if silent > settings.STALE_AFTER:
        problems.append(f"its feed has proven nothing for {silent:.0f} s")

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
