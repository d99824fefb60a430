"""Markets, their names, and which of them are followed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import F, Q, QuerySet

from datastore.models import CoverageChange, DynamicTopic, GapRepair, Market, Pair

SYMBOL = re.compile(r"(?P<exchange>[a-z0-9_.-]{1,40}):(?P<base>[A-Z0-9*._]{1,30})-(?P<quote>[A-Z0-9*._]{1,30})")
# CryptoCompare's spelling where it is not the name with a capital; what its list of pairs says goes before.
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
    """Return the always-on markets with these symbols, in this order, making rows and following. Raises BadSymbol."""
    wanted = list(dict.fromkeys(symbols))
    found = _made(wanted)
    Market.objects.filter(symbol__in=wanted, followed=False).update(followed=True)
    for market in found:
        market.followed = True
    return found


def get_or_create_market(symbol: str) -> Market:
    """Return the market with this symbol; its row is made at the first question and followed by nobody."""
    return _made([symbol])[0]


def follow(market: Market) -> bool:
    """Add a market to the always-on set; False where it was there."""
    market.followed = True
    return bool(Market.objects.filter(pk=market.pk, followed=False).update(followed=True))


def unfollow(market: Market) -> bool:
    """Take a market out of the always-on set, its data stay; False where it was not in it."""
    market.followed = False
    with transaction.atomic():
        locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        left = Market.objects.filter(pk=market.pk, followed=True).update(followed=False)
        if not feed_markets().filter(pk=market.pk).exists():
            forget_gaps(locked)
    return bool(left)


def feed_markets() -> QuerySet[Market]:
    """Return the markets whose feed is taken and whose holes are repaired: followed, or with an alive topic."""
    streamed = DynamicTopic.objects.filter(state__in=DynamicTopic.ALIVE).order_by().values("market")
    return Market.objects.filter(Q(followed=True) | Q(pk__in=streamed))


def forget_gaps(market: Market) -> None:
    """Forget the holes of a market that is not kept any more, the final ones aside; `market` was read under its lock.

    Nobody repairs them now, so a reader's question fetches them again.
    """
    holes = GapRepair.objects.filter(market=market, final=False)
    for hole in holes:
        CoverageChange.note_gap(market, hole.resolution, hole.start, hole.stop)
    forgotten, _ = holes.delete()
    if forgotten:
        Market.objects.filter(pk=market.pk).update(version=F("version") + 1)


def _made(symbols: Sequence[str]) -> list[Market]:
    """Return markets in this order; several askers at once make one row."""
    parts = {symbol: _parts(symbol) for symbol in symbols}
    found = {market.symbol: market for market in Market.objects.filter(symbol__in=symbols)}
    missing = [symbol for symbol in symbols if symbol not in found]
    if missing:
        listed = Pair.objects.in_bulk(missing)
        made = [_new(symbol, parts[symbol], listed.get(symbol)) for symbol in missing]
        Market.objects.bulk_create(made, ignore_conflicts=True)
        found |= {market.symbol: market for market in Market.objects.filter(symbol__in=missing)}
    return [found[symbol] for symbol in symbols]


def _parts(symbol: str) -> tuple[str, str, str]:
    parts = SYMBOL.fullmatch(symbol)
    if parts is None:
        raise BadSymbol(symbol)
    return parts["exchange"], parts["base"], parts["quote"]


def _new(symbol: str, parts: tuple[str, str, str], listed: Pair | None) -> Market:
    exchange, base, quote = parts
    return Market(
        symbol=symbol,
        exchange=exchange,
        base=base,
        quote=quote,
        provider_exchange=listed.provider_exchange if listed else SPELLINGS.get(exchange, exchange.capitalize()),
        provider_base=listed.provider_base if listed else base,
        provider_quote=listed.provider_quote if listed else quote,
    )
