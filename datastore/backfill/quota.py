"""How many pages of the provider's history one asker may cause on one UTC day.

Counted in the transaction that makes the fetch: what is not made is not counted, and two at once are both counted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from datastore.models import FetchSpending

# Takes pages from the asker's budget; raises BudgetSpent.
Spend = Callable[[int], None]


class BudgetSpent(Exception):
    """Fetching this would take more of the provider's pages than the asker has left today."""

    def __init__(self, wanted: int, left: int, limit: int) -> None:
        super().__init__(
            f"the budget of {limit} of the provider's pages a day has {left} left until 00:00 UTC; this takes {wanted}"
        )


def spend(spender: str, limit: int, pages: int) -> None:
    """Count pages of today; raise BudgetSpent, counting nothing, where they would be more than limit."""
    day = timezone.now().date()
    FetchSpending.objects.bulk_create([FetchSpending(day=day, spender=spender)], ignore_conflicts=True)
    spent = FetchSpending.objects.filter(day=day, spender=spender)
    if not spent.filter(pages__lte=limit - pages).update(pages=F("pages") + pages):
        used = spent.values_list("pages", flat=True).get()
        raise BudgetSpent(pages, max(limit - used, 0), limit)


def time_until_reset() -> timedelta:
    """Return how long it is until every budget begins anew, at 00:00 UTC."""
    now = timezone.now()
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now


def forget_spending() -> int:
    """Delete the days that are over; return how many rows."""
    return FetchSpending.objects.filter(day__lt=timezone.now().date()).delete()[0]
