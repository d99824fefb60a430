"""What several answers begin with: the market that is meant, and whose data it is."""

from __future__ import annotations

from typing import Any

from datastore.api.errors import UnknownMarket
from datastore.api.instants import to_ms
from datastore.api.symbols import choose
from datastore.clock import provider_now
from datastore.markets import market_of
from datastore.models import Market
from datastore.provider import current_provider


def find_market(asked: str) -> Market:
    """Return the market; raise UnknownMarket with near names, BadParameters where several are meant."""
    # The canonical name costs one indexed read; only another spelling looks through all of them.
    market = market_of(asked) or market_of(choose(asked, Market.objects.values_list("symbol", flat=True)))
    if market is None:
        raise UnknownMarket(asked)
    return market


def provider_json() -> dict[str, Any]:
    """Return who provides the data, whether it is invented, and the provider's time."""
    name, simulated = current_provider()
    return {"provider": name or None, "simulated": simulated, "server_time": to_ms(provider_now())}
