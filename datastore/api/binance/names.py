"""Which of Binance's symbols means which market: BTCUSDT where one followed market is meant, else KRAKEN:BTCUSDT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from datastore.api.binance.errors import invalid_symbol
from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.market_lookup import find_markets
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
    """Return the followed markets by symbol, with the exchange in it where the pair is not enough."""
    markets = list(Market.objects.filter(followed=True).order_by("symbol"))
    joined = Counter(_joined(market) for market in markets)
    return {_name(market, joined[_joined(market)] > 1): market for market in markets}


def symbol_of(market: Market) -> str:
    """Return the symbol under which a market is shown, which leads back to it."""
    same = Market.objects.filter(base__iexact=market.base, quote__iexact=market.quote, followed=True)
    others = same.exclude(pk=market.pk).exists()
    return _name(market, others)


def _name(market: Market, with_exchange: bool) -> str:
    return f"{market.exchange.upper()}:{_joined(market)}" if with_exchange else _joined(market)


def _joined(market: Market) -> str:
    return f"{market.base}{market.quote}".upper()
