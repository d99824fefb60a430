"""The page at `/`: what runs here, how fresh its data is, and links to the rest."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from actor_runtime.admin import span
from config.monitoring.health import data_state, market_states, provider_identity
from datastore.quality.freshness import ProvenMarket


def home_page(request: HttpRequest) -> HttpResponse:
    """Show the useful addresses, the provider, and since when each market's feed has proven nothing."""
    found = market_states()
    known = {market.symbol: _row(market) for market in found or []}
    unknown = [{"symbol": symbol, "state": "none", "age": ""} for symbol in settings.MARKETS if symbol not in known]
    context = {
        "version": settings.VERSION,
        "markets": [*known.values(), *unknown],
        "data": data_state(found),
        **provider_identity(),
    }
    return render(request, "home_page.html", context)


def _row(market: ProvenMarket) -> dict[str, str]:
    age = "nothing proven yet" if market.age is None else f"proven until {span(market.age)} ago"
    return {"symbol": market.symbol, "state": market.state, "age": age}
