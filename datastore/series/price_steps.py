"""The smallest steps of a market's prices and amounts, which charts and clients round to."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement

FINEST_STEP = Decimal("0.00000001")  # of a market of which nothing is known yet
SEEN_MINUTES = 500  # newest minutes whose digits are looked at where the provider lists no steps


class Steps(NamedTuple):
    """Prices and amounts are multiples of these, both greater than 0."""

    price: Decimal
    amount: Decimal


def steps_of(ids: Collection[int]) -> dict[int, Steps]:
    """Return the steps of the markets with these ids. Raises DatabaseError."""
    rows = fetch_all(statement("steps", "steps"), {"ids": list(ids), "minutes": SEEN_MINUTES})
    return {market: Steps(_step(price), _step(amount)) for market, price, amount in rows}


def decimals_of(step: Decimal) -> int:
    """Return how many digits behind the point a multiple of the step may have."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _step(found: Decimal | None) -> Decimal:
    return found if found is not None and found > 0 else FINEST_STEP
