"""Which of Binance's symbols means which market: BTCUSDT where one followed market is meant, else KRAKEN:BTCUSDT."""

from __future__ import annotations

from collections.abc import Sequence

from datastore.api.binance.errors import invalid_symbol
from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.market_lookup import find_markets, unambiguous
from datastore.api.params.symbols import market_text
from datastore.models import Market


def markets_named(names: Sequence[str]) -> list[Market]:
    """Return the markets of these symbols, in any spelling that the API knows. Raises Refused for the first other."""
    try:
        for name in names:
            market_text(name)
        return find_markets(list(names))
    except (BadParameters, UnknownMarket) as exc:
        raise invalid_symbol(exc) from None
    except ValueError as exc:
        raise invalid_symbol(BadParameters({"market": [str(exc)]})) from None


def market_named(name: str) -> Market:
    """Return the market of this symbol. Raises Refused."""
    return markets_named([name])[0]


def followed_markets() -> dict[str, Market]:
    """Return the followed markets by symbol."""
    return by_symbol(list(Market.objects.filter(followed=True).order_by("symbol")))


def by_symbol(markets: Sequence[Market]) -> dict[str, Market]:
    """Return markets by the symbols under which they are shown, each of which leads back to its market.

    In as many statements as for one. Two markets may differ by case alone: those have the names of the API.
    """
    names = {market: (_joined(market), f"{market.exchange.upper()}:{_joined(market)}") for market in markets}
    meant = unambiguous(list(dict.fromkeys(name for both in names.values() for name in both)))
    return {
        next((name for name in both if meant.get(name) == market.symbol), market.symbol): market
        for market, both in names.items()
    }


def _joined(market: Market) -> str:
    return f"{market.base}{market.quote}".upper()
