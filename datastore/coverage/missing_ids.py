"""Which trades of a venue that counts them are not stored, by their ids."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement


@dataclass(frozen=True, slots=True)
class MissingIds:
    """The ids first..last of a market, traded within [low, high)."""

    market_id: int
    first: int
    last: int
    low: datetime
    high: datetime

    @property
    def count(self) -> int:
        """Return how many trades are missing."""
        return self.last - self.first + 1


def missing_ids(market_ids: Collection[int] | None = None) -> list[MissingIds]:
    """Return the missing ids of these markets, or of all, each market's in ascending order, in one statement.

    They lie between stored ones, or behind the newest as the venue said more than once. Left out are ids in doubt,
    which no answer could clear, and those whose trades would be refused for their age.
    """
    values = {
        "ids": None if market_ids is None else sorted(market_ids),
        "retention": timedelta(days=settings.TICK_RETENTION_DAYS),
    }
    return [MissingIds(*row) for row in fetch_all(statement("known", "missing_ids"), values)]
