"""How many pages of the provider's history one client may fetch on one UTC day of the provider's.

Pages are counted in the transaction that makes the request: a request that is not made is not counted, and two made at
once are both counted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F

from datastore.models import FetchSpending
from datastore.reference.provider_clock import provider_now

# Takes so many pages from the client's budget; raises BudgetSpent.
Spend = Callable[[int], None]


class BudgetSpent(Exception):
    """Fetching this would take more of the provider's pages than the client has left today."""

    def __init__(self, pages: int, left: int, limit: int) -> None:
        super().__init__(
            f"the budget of {limit} of the provider's pages a day has {left} left until 00:00 UTC; this takes {pages}"
        )


def spend(spender: str, limit: int, pages: int) -> None:
    """Count pages for today; raise BudgetSpent and count nothing if that would exceed limit."""
    day = provider_now().date()
    FetchSpending.objects.bulk_create([FetchSpending(day=day, spender=spender)], ignore_conflicts=True)
    spent = FetchSpending.objects.filter(day=day, spender=spender)
    if not spent.filter(pages__lte=limit - pages).update(pages=F("pages") + pages):
        used = spent.values_list("pages", flat=True).get()
        raise BudgetSpent(pages, max(limit - used, 0), limit)


def time_until_reset() -> timedelta:
    """Return how long it is until every budget is reset, at 00:00 UTC."""
    now = provider_now()
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now


def forget_spending() -> int:
    """Delete the counts of past days; return how many rows."""
    return FetchSpending.objects.filter(day__lt=provider_now().date()).delete()[0]
