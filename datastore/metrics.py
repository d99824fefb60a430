"""Metrics of the data, read from the rows at each scrape."""

from __future__ import annotations

from django.db.models import Count

from datastore.db.queries import fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import DatastoreRequest

Ages = tuple[str, float | None, float | None]
Gaps = tuple[str, int, bool, int, float]


def ages() -> list[Ages]:
    """Return per market the seconds since its newest proven time and since its newest reconciliation."""
    return fetch_all(statement("metrics", "ages"))


def gaps() -> list[Gaps]:
    """Return (market, resolution in seconds, final, number of gaps, seconds that they cover)."""
    return fetch_all(statement("metrics", "gaps"))


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
