"""What several answers begin with: the market that is meant, and the provider of its data."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from cachetools import TTLCache

from datastore.access.shared_cache import SharedCache
from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.symbols import ambiguous, matching_symbols, near_names
from datastore.api.params.times import to_ms
from datastore.models import Market
from datastore.reference import pairs
from datastore.reference.markets import get_or_create_markets
from datastore.reference.provider import current_provider
from datastore.reference.provider_clock import provider_now

KNOWN_FOR_S, MAX_KNOWN = 10.0, 10_000
_known: SharedCache[str, Market] = SharedCache(TTLCache(MAX_KNOWN, KNOWN_FOR_S, lambda: monotonic()))


def find_market(asked: str) -> Market:
    """Return the market, created at its first question.

    Raises UnknownMarket with near names, BadParameters if several markets may be meant.
    """
    return find_markets([asked])[0]


def market_to_read(asked: str) -> Market:
    """Return the market for a read, which needs of its row only what never changes; the rest may be some seconds old.

    Raises what find_market() does.
    """
    market = _known.get(asked)
    if market is None:
        (market,) = find_markets([asked])
        if market.symbol == asked:  # another spelling may mean another market tomorrow
            _known.put(asked, market)
    return market


def forget_markets() -> None:
    """Look every market up again."""
    _known.clear()


def find_markets(asked: Sequence[str]) -> list[Market]:
    """Return the markets of these names, in their order, in as many statements as for one.

    Raises UnknownMarket with near names, BadParameters if several markets may be meant, for the first such name.
    """
    # The canonical names of markets with a row cost one indexed read; any others go through the provider's pairs.
    known = {market.symbol: market for market in Market.objects.filter(symbol__in=asked)}
    others = [name for name in dict.fromkeys(asked) if name not in known]
    if not others:
        return [known[name] for name in asked]

    candidates, followed = _candidates(others)
    symbols = {name: _the_one(name, found, followed) for name, found in candidates.items()}
    made = dict(zip(symbols, get_or_create_markets(list(symbols.values())), strict=True))
    return [known.get(name) or made[name] for name in asked]


def unambiguous(names: Sequence[str]) -> dict[str, str]:
    """Return by name the symbol of the market that find_market() would find; other names are left out."""
    candidates, followed = _candidates(names)
    meant = {name: _meant(name, symbols, followed) for name, symbols in candidates.items()}
    return {name: symbols[0] for name, symbols in meant.items() if len(symbols) == 1}


def _candidates(names: Sequence[str]) -> tuple[dict[str, list[str]], set[str]]:
    """Return by name the symbols that are spelled so, and those which are followed where there are several."""
    spelled = pairs.symbols_spelled(names)
    candidates = {name: matching_symbols(name, spelled[name]) for name in names}
    several = {symbol for symbols in candidates.values() if len(symbols) > 1 for symbol in symbols}
    followed = set()
    if several:
        followed = set(Market.objects.filter(symbol__in=several, followed=True).values_list("symbol", flat=True))
    return candidates, followed


def _meant(asked: str, symbols: list[str], followed: set[str]) -> list[str]:
    """Return those of the symbols spelled so that a name may mean."""
    if asked in symbols:
        return [asked]  # letter for letter: another market may differ by case alone
    # A name without its exchange means the market that is followed here, if that is only one.
    here = [symbol for symbol in symbols if symbol in followed]
    return here if len(here) == 1 else symbols


def _the_one(asked: str, symbols: list[str], followed: set[str]) -> str:
    symbols = _meant(asked, symbols, followed)
    if len(symbols) > 1:
        raise BadParameters({"market": [ambiguous(symbols)]})
    if not symbols:
        raise UnknownMarket(asked, near_names(asked, pairs.similar_symbols(asked)), list_known=pairs.is_known())
    return symbols[0]


def provider_json() -> dict[str, Any]:
    """Return who provides the data, whether it is invented, and the provider's time."""
    name, simulated = current_provider()
    return {"provider": name or None, "simulated": simulated, "server_time": to_ms(provider_now())}
