"""The followed markets as Binance's exchangeInfo lists symbols, with what clients need of the filters."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings

from datastore.access.rate_limits import bucket_for
from datastore.models import Market
from datastore.series.price_steps import Steps, decimals_of, steps_of

PRECISION = 8
GREATEST = "9000000000.00000000"


def exchange_info(markets: Mapping[str, Market], server_time: int) -> dict[str, Any]:
    """Return the answer for these markets by their symbols; server_time in ms."""
    steps = steps_of([market.pk for market in markets.values()]) if markets else {}
    return {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": _limits(),
        "exchangeFilters": [],
        "symbols": [_symbol(name, market, steps[market.pk]) for name, market in markets.items()],
    }


def used_weight(remaining: int, capacity: int, per_minute: int) -> int:
    """Return the weight used of the limit of a minute, such that a bucket that is empty has used all of it."""
    return round((capacity - remaining) / capacity * per_minute)


def _limits() -> list[dict[str, Any]]:
    limit = settings.RATE_LIMIT_PER_ADDRESS
    if not limit:
        return []
    per_minute = bucket_for("", limit).per_second * 60
    of = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return [{**of, "limit": round(per_minute)}]


def _symbol(name: str, market: Market, steps: Steps) -> dict[str, Any]:
    """Return one symbol. Clients that name markets by their assets would keep one of two with the same: where the
    exchange is part of the symbol, it is part of the base as well, so that a symbol is always base and quote.
    """
    tick, lot = plain(steps.price), plain(steps.amount)
    exchange, colon, _ = name.rpartition(":")
    return {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": f"{exchange}{colon}{market.base}",
        "baseAssetPrecision": max(PRECISION, decimals_of(steps.amount)),
        "quoteAsset": market.quote,
        "quotePrecision": max(PRECISION, decimals_of(steps.price)),
        "quoteAssetPrecision": max(PRECISION, decimals_of(steps.price)),
        "baseCommissionPrecision": PRECISION,
        "quoteCommissionPrecision": PRECISION,
        "orderTypes": [],  # nothing can be ordered here
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,  # what marks a spot market
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": GREATEST, "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": GREATEST, "stepSize": lot},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def plain(number: Decimal) -> str:
    """Return a decimal without an exponent, with at least eight digits behind the point."""
    return f"{number:.{max(PRECISION, decimals_of(number))}f}"
