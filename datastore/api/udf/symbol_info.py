"""A market as the charting library's symbol, and the search for one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from datastore.api.udf.query import SearchQuestion
from datastore.api.udf.resolutions import INTRADAY, SUPPORTED
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.series.price_steps import Steps, decimals_of
from datastore.symbol import parts_of

TYPE = "crypto"


def symbol_json(market: Market, steps: Steps) -> dict[str, Any]:
    """Return a symbol; older versions of the library read the names with a dash and `minmovement`."""
    scale, least = price_scale(steps.price)
    return {
        "name": f"{market.base}-{market.quote}",
        "full_name": market.symbol,
        "ticker": market.symbol,
        "description": f"{market.base} / {market.quote} at {market.exchange}",
        "type": TYPE,
        "session": "24x7",
        "timezone": "Etc/UTC",
        "exchange": market.exchange,
        "listed_exchange": market.exchange,
        "exchange-traded": market.exchange,
        "exchange-listed": market.exchange,
        "format": "price",
        "pricescale": scale,
        "minmov": least,
        "minmov2": 0,
        "minmovement": least,
        "minmovement2": 0,
        "volume_precision": decimals_of(steps.amount),
        "has_intraday": True,
        "intraday_multipliers": INTRADAY,
        "has_daily": True,
        "daily_multipliers": ["1"],
        "has_weekly_and_monthly": True,
        "weekly_multipliers": ["1"],
        "monthly_multipliers": ["1"],
        "has_empty_bars": False,
        "visible_plots_set": "ohlcv",
        "supported_resolutions": SUPPORTED,
        "data_status": "streaming",
        "currency_code": market.quote,
    }


def price_scale(step: Decimal) -> tuple[int, int]:
    """Return pricescale and minmov: their quotient, minmov / pricescale, is the step."""
    scale = 10 ** decimals_of(step)
    return scale, int(step * scale)


def found_json(question: SearchQuestion) -> list[dict[str, Any]]:
    """Return the markets and pairs whose names hold a text: followed ones first, then the likeliest."""
    if question.type not in ("", TYPE):
        return []
    exchange, colon, pair = question.text.rpartition(":")
    values = {
        "joined": pair.upper().translate({ord(sign): None for sign in "-/ "}).replace("\\", r"\\"),
        "exchange": (exchange if colon else question.exchange).lower(),
        "limit": question.limit,
    }
    for sign in "%_":
        values["joined"] = str(values["joined"]).replace(sign, f"\\{sign}")
    return [_found(symbol) for (symbol,) in fetch_all(statement("pairs", "search"), values)]


def _found(symbol: str) -> dict[str, Any]:
    exchange, base, quote = parts_of(symbol)
    return {
        "symbol": f"{base}-{quote}",
        "full_name": symbol,
        "ticker": symbol,
        "description": f"{base} / {quote} at {exchange}",
        "exchange": exchange,
        "type": TYPE,
    }
