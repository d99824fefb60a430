"""The table of all providers: the one place outside their packages that names them."""

from __future__ import annotations

from django.conf import settings

from ingestion.providers.binance.provider import PROVIDER as BINANCE
from ingestion.providers.binance.provider import US_PROVIDER as BINANCE_US
from ingestion.providers.coinbase.provider import PROVIDER as COINBASE
from ingestion.providers.cryptocompare.provider import PROVIDER as CRYPTOCOMPARE
from ingestion.providers.kraken.provider import PROVIDER as KRAKEN
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.okx.provider import PROVIDER_BY_IDS as OKX_BY_IDS
from ingestion.providers.port import Provider

_okx = OKX_BY_IDS if settings.OKX_IDS_PROVE else OKX
PROVIDERS: dict[str, Provider] = {
    provider.name: provider for provider in (BINANCE, BINANCE_US, COINBASE, CRYPTOCOMPARE, KRAKEN, _okx)
}


def configured() -> list[Provider]:
    """Return the providers of the setting PROVIDERS, in the order in which new markets are theirs."""
    return [PROVIDERS[name] for name in settings.PROVIDERS]
