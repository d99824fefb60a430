"""Markets and their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datastore.models import Market

SYMBOL = re.compile(r"(?P<exchange>[a-z0-9_.-]{1,40}):(?P<base>[A-Z0-9*._]{1,30})-(?P<quote>[A-Z0-9*._]{1,30})")
# CryptoCompare's spelling where it is not the name with a capital (its list /data/v4/all/exchanges).
SPELLINGS = {
    "binanceus": "BinanceUS",
    "bitmex": "BitMEX",
    "bitso": "Bitso",
    "cccagg": "CCCAGG",
    "cryptodotcom": "CryptoDotCom",
    "hitbtc": "HitBTC",
    "huobipro": "HuobiPro",
    "itbit": "itBit",
    "lbank": "LBank",
    "mexc": "MEXC",
    "okex": "OKEX",
    "okx": "OKX",
}


class BadSymbol(ValueError):
    """A market's symbol is exchange:BASE-QUOTE, the exchange in small letters, base and quote in capitals."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol!r} is not exchange:BASE-QUOTE, such as coinbase:BTC-USD")


def market_of(symbol: str) -> Market | None:
    """Return the market with this symbol."""
    return Market.objects.filter(symbol=symbol).first()


def ensure_markets(symbols: Iterable[str]) -> list[Market]:
    """Return the markets with these symbols, in this order, making the rows that are missing. Raises BadSymbol."""
    wanted = list(dict.fromkeys(symbols))
    Market.objects.bulk_create([_new(symbol) for symbol in wanted], ignore_conflicts=True)
    found = {market.symbol: market for market in Market.objects.filter(symbol__in=wanted)}
    return [found[symbol] for symbol in wanted]


def _new(symbol: str) -> Market:
    parts = SYMBOL.fullmatch(symbol)
    if parts is None:
        raise BadSymbol(symbol)
    exchange, base, quote = parts["exchange"], parts["base"], parts["quote"]
    return Market(
        symbol=symbol,
        exchange=exchange,
        base=base,
        quote=quote,
        provider_exchange=SPELLINGS.get(exchange, exchange.capitalize()),
        provider_base=base,
        provider_quote=quote,
    )
