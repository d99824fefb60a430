"""What several answers begin with: the market that is meant, and whose data it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.symbols import ambiguous, meant, near_names
from datastore.api.params.times import to_ms
from datastore.models import Market
from datastore.reference import pairs
from datastore.reference.markets import get_or_create_market, market_of
from datastore.reference.provider import current_provider
from datastore.reference.provider_clock import provider_now


def find_market(asked: str) -> Market:
    """Return the market, made at its first question; raise UnknownMarket with near names, BadParameters where several
    are meant.
    """
    # The canonical name of one with a row costs one indexed read; every other goes through the provider's pairs.
    return market_of(asked) or get_or_create_market(_meant(asked))


def _meant(asked: str) -> str:
    symbols = meant(asked, pairs.symbols_spelled(asked))
    if len(symbols) > 1 and len(followed := _followed(symbols)) == 1:
        symbols = followed  # a name without its exchange means the market that is kept here, where that is only one
    if len(symbols) > 1:
        raise BadParameters({"market": [ambiguous(symbols)]})
    if not symbols:
        raise UnknownMarket(asked, near_names(asked, pairs.similar_symbols(asked)), list_known=pairs.is_known())
    return symbols[0]


def _followed(symbols: Sequence[str]) -> list[str]:
    return list(Market.objects.filter(symbol__in=symbols, followed=True).values_list("symbol", flat=True))


def provider_json() -> dict[str, Any]:
    """Return who provides the data, whether it is invented, and the provider's time."""
    name, simulated = current_provider()
    return {"provider": name or None, "simulated": simulated, "server_time": to_ms(provider_now())}
