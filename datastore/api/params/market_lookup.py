"""What several answers begin with: the market that is meant, and the provider of its data."""

from __future__ import annotations

from typing import Any

from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.symbols import ambiguous, matching_symbols, near_names
from datastore.api.params.times import to_ms
from datastore.models import Market
from datastore.reference import pairs
from datastore.reference.markets import get_or_create_market
from datastore.reference.provider import current_provider
from datastore.reference.provider_clock import provider_now


def find_market(asked: str) -> Market:
    """Return the market, created at its first question.

    Raises UnknownMarket with near names, BadParameters if several markets may be meant.
    """
    # The canonical name of a market with a row costs one indexed read; any other goes through the provider's pairs.
    return Market.objects.filter(symbol=asked).first() or get_or_create_market(_symbol_of(asked))


def _symbol_of(asked: str) -> str:
    symbols = matching_symbols(asked, pairs.symbols_spelled(asked))
    if asked in symbols:
        return asked  # letter for letter: another market may differ by case alone
    if len(symbols) > 1:
        # A name without its exchange means the market that is followed here, if that is only one.
        followed = list(Market.objects.filter(symbol__in=symbols, followed=True).values_list("symbol", flat=True))
        symbols = followed if len(followed) == 1 else symbols
    if len(symbols) > 1:
        raise BadParameters({"market": [ambiguous(symbols)]})
    if not symbols:
        raise UnknownMarket(asked, near_names(asked, pairs.similar_symbols(asked)), list_known=pairs.is_known())
    return symbols[0]


def provider_json() -> dict[str, Any]:
    """Return who provides the data, whether it is invented, and the provider's time."""
    name, simulated = current_provider()
    return {"provider": name or None, "simulated": simulated, "server_time": to_ms(provider_now())}
