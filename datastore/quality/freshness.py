"""Is a market's feed alive, since when not, and is the last day of its minutes complete?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Min

from datastore.blockers import Blockers, active_requests, touching
from datastore.coverage.facts import Facts, Stretch, facts_of_many
from datastore.coverage.gaps import gap_segments_of
from datastore.coverage.segments import Segment
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Coverage, FetchRequest
from datastore.reference.provider_clock import provider_now
from datastore.reference.staleness import stale_after
from datastore.timeframes.intervals import micros_of, subtract
from datastore.timeframes.timeframe import BASE, MINUTE_S
from datastore.wording import counted

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
    refusal: str | None  # why the provider refuses its subscription
    refused_since: datetime | None
    provider: str

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
    return LIVE if is_open and timedelta(milliseconds=freshness) <= stale_after() else STALE


def freshness_problems() -> dict[str, list[str]]:
    """Return by followed market why it is stale or incomplete, and what mending it waits for; [] if it is neither.

    A fixed number of queries, however many markets there are.
    """
    markets, stop = proven_markets(), BASE[MINUTE_S].ceil(provider_now())
    start = BASE[MINUTE_S].floor(stop - COMPLETE_FOR)
    facts = facts_of_many([Stretch(market.market_id, MINUTE_S, start, stop) for market in markets])
    ids = [market.market_id for market in markets]
    live = Coverage.objects.filter(source=Coverage.Source.LIVE, resolution=0, market__in=ids)
    began = dict(live.values_list("market_id").annotate(Min("start")))
    requests, blockers = active_requests(ids), Blockers()
    found: dict[str, list[str]] = {}
    for market, known in zip(markets, facts, strict=True):
        problems = found[market.symbol] = _feed_problems(market, blockers)
        if market.market_id in began:
            gaps = _open_gaps(known, max(began[market.market_id], start), stop)
            problems += _gap_problems(gaps, requests, market, blockers)
    return found


def _feed_problems(market: ProvenMarket, blockers: Blockers) -> list[str]:
    problems = [f"{market.refusal}, since {market.refused_since:%Y-%m-%d %H:%M:%S}"] if market.refusal else []
    # A refused market's feed waits for nothing else.
    blocker = "" if problems else f": {blockers.feed_of(market.provider)}"
    if market.age is None:
        problems.append(f"its feed has proven nothing yet{blocker}")
    elif timedelta(seconds=market.age) > stale_after():
        problems.append(f"its feed has proven nothing for {market.age:.0f} s{blocker}")
    return problems


def _open_gaps(facts: Facts, start: datetime, stop: datetime) -> list[Segment]:
    """Return the gaps that are not final: one that is being repaired counts until it is filled."""
    start = BASE[MINUTE_S].ceil(start)
    final = facts.final_gaps
    found = gap_segments_of(facts, MINUTE_S, start, stop) if start < stop else []
    return [gap for gap in found if subtract([(micros_of(gap.start), micros_of(gap.stop))], final)]


def _gap_problems(
    gaps: Sequence[Segment], requests: Mapping[int, list[FetchRequest]], market: ProvenMarket, blockers: Blockers
) -> list[str]:
    problems = []
    for gap in gaps[-MAX_GAPS_NAMED:]:
        work = blockers.of_gap(touching(requests[market.market_id], MINUTE_S, gap.start, gap.stop))
        why = f"{gap.reason or 'unknown'}; {work or 'not requested yet, the gap scan does that'}"
        problems.append(f"gap {gap.start:%Y-%m-%d %H:%M} to {gap.stop:%H:%M}: {why}")
    if len(gaps) > MAX_GAPS_NAMED:
        problems.append(f"and {counted(len(gaps) - MAX_GAPS_NAMED, 'more gap')}")
    return problems
