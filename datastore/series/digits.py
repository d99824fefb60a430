"""How many digits behind the point the numbers of a market have, so that columns of one type hold all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import msgspec
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.series.price_steps import decimals_of, steps_of

CACHE_TTL_S = 7 * 86_400  # to look at all rows of a year of minutes takes a third of a second of the database


class Digits(NamedTuple):
    """Digits behind the point of prices, volumes, and quote volumes."""

    price: int
    volume: int
    quote_volume: int


class Seen(NamedTuple):
    """The version up to which all rows of a market were looked at, and what they need at least."""

    version: int
    digits: Digits


NOTHING_SEEN = Seen(-1, Digits(0, 0, 0))
_seen: dict[tuple[int, str], Seen] = {}  # by market and series


def digits_of(market_id: int, series_id: str, version: int) -> Digits:
    """Return what every stored candle of the market needs, at least what its steps allow; the same for all timeframes.

    Inside the snapshot whose version is given. A row that changes gets a newer version, so where an earlier look is
    known, of this process or of another, few rows have to be looked at. Raises DatabaseError.
    """
    seen = _seen.get((market_id, series_id))
    if seen is None:
        steps = steps_of([market_id])[market_id]
        price, amount = decimals_of(steps.price), decimals_of(steps.amount)
        after, cached = _cached(market_id, series_id)
        seen = Seen(after, _most(cached, Digits(price, amount, price + amount)))
    if version > seen.version:
        (found,) = fetch_all(statement("steps", "digits"), {"market": market_id, "after": seen.version})
        seen = Seen(version, _most(seen.digits, Digits(*found)))
        with suppress(RedisError):
            get_redis_connection("hot").set(_key(market_id, series_id), msgspec.json.encode(seen), ex=CACHE_TTL_S)
    _seen[market_id, series_id] = seen
    return seen.digits


def _cached(market_id: int, series_id: str) -> Seen:
    with suppress(RedisError):
        if found := get_redis_connection("hot").get(_key(market_id, series_id)):
            return msgspec.json.decode(found, type=Seen)
    return NOTHING_SEEN


def _key(market_id: int, series_id: str) -> str:
    return f"ck:digits:{market_id}:{series_id}"


def _most(one: Digits, other: Digits) -> Digits:
    return Digits(*map(max, one, other))
