"""How many digits behind the point the numbers of a market have, so that columns of one type hold all of them."""

from __future__ import annotations

from typing import NamedTuple

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.series.price_steps import decimals_of, steps_of

NO_VERSION = -1


class Digits(NamedTuple):
    """Digits behind the point of prices, volumes, and quote volumes."""

    price: int
    volume: int
    quote_volume: int


# By market and series: the version up to which all rows were looked at, and what was found. A row that changes gets a
# newer version, so the next look is at few rows.
_seen: dict[tuple[int, str], tuple[int, Digits]] = {}


def digits_of(market_id: int, series_id: str, version: int) -> Digits:
    """Return what every stored candle of the market needs, at least what its steps allow; the same for all timeframes.

    Inside the snapshot whose version is given. Raises DatabaseError.
    """
    after, known = _seen.get((market_id, series_id), (NO_VERSION, None))
    if known is None:
        steps = steps_of([market_id])[market_id]
        price, amount = decimals_of(steps.price), decimals_of(steps.amount)
        known = Digits(price, amount, price + amount)
    if version > after:
        (found,) = fetch_all(statement("steps", "digits"), {"market": market_id, "after": after})
        known = Digits(*map(max, known, found))
        _seen[market_id, series_id] = version, known
    return known
