"""Whether a database may take real prices of a provider from files: as at the start of one that fetches them."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from datastore.models import Market
from datastore.reference.provider import OtherProvider, current_provider, remember_provider
from datastore.reference.provider_registry import traits_of


class CannotImport(ValueError):
    """The market or this database cannot take the files, with the reason and the way out."""


def check_market(market: Market, provider: str) -> None:
    """Raise CannotImport unless this provider delivers the market, and this database holds no invented prices."""
    if market.provider != provider:
        raise CannotImport(
            f"{market.symbol} is delivered by {market.provider}, and these files are of {provider}: their trades and "
            "candles would not be the same series."
        )
    identity, simulated = current_provider()
    if simulated:
        raise CannotImport(
            f"This database holds simulated prices ({identity}), and real ones are never mixed with them: set "
            "CANDLEKEEP_HOME to the folder of a start with LIVE=1."
        )


def bind_database(provider: str) -> None:
    """Remember that this database holds the provider's real prices, unless a start has; raise CannotImport."""
    if current_provider([provider])[0]:
        return
    host = next(one for one in traits_of(provider).hosts if one.serves == "rest")
    url = getattr(settings, host.setting) or host.url
    try:
        remember_provider(provider, urlsplit(url).hostname or url, simulated=False)
    except OtherProvider as exc:
        raise CannotImport(f"{exc}.".capitalize()) from None
