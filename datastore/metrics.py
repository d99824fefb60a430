"""Metrics of the data, read from the rows at each scrape."""

from __future__ import annotations

from collections import Counter

from django.db.models import Count

from datastore.coverage.missing_ids import missing_ids
from datastore.db.queries import fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import DatastoreRequest, Market

Ages = tuple[str, float | None, float | None]
Gaps = tuple[str, int, bool, int, float]


def ages() -> list[Ages]:
    """Return per market the seconds since its newest proven time and since its newest reconciliation."""
    return fetch_all(statement("metrics", "ages"))


def gaps() -> list[Gaps]:
    """Return (market, resolution in seconds, final, number of gaps, seconds that they cover)."""
    return fetch_all(statement("metrics", "gaps"))


def proofs() -> list[tuple[str, str | None]]:
    """Return per followed market what its newest proven instant rests on, None if nothing was ever proven."""
    return fetch_all(statement("metrics", "proofs"))


def missing_trades() -> dict[str, int]:
    """Return how many trades are missing by their ids, of each market that lacks any."""
    missing: Counter[int] = Counter()
    for one in missing_ids():
        missing[one.market_id] += one.count
    symbols = Market.objects.filter(pk__in=missing).values_list("pk", "symbol")
    return {symbol: missing[market_id] for market_id, symbol in symbols}


def gap_reasons() -> list[tuple[str, int]]:
    """Return (code, number of gaps), of all markets and resolutions; nothing of no gaps."""
    return fetch_all(statement("metrics", "gap_reasons"))


def dead_letters() -> list[tuple[str, int]]:
    """Return (topic, dead letters)."""
    return fetch_all(statement("metrics", "dead_letters"))


def oldest_fetch() -> float:
    """Return the age in seconds of the oldest request for history under way, 0 if there is none."""
    return float(fetch_value(statement("metrics", "oldest_fetch")))


def requests_by_state() -> dict[str, int]:
    """Return how many Datastore requests are in each state."""
    found = DatastoreRequest.objects.order_by().values_list("state").annotate(Count("pk"))
    return {str(state): 0 for state in DatastoreRequest.State} | dict(found)
