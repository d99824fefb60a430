"""Who delivers prices, and where each provider is reached: PROVIDERS, and <NAME>_REST_URL and <NAME>_WS_URL of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from config.environment import url

# The markets that are followed from the start unless MARKETS is set, by provider. Those of the providers' table
# (ingestion/providers/table.py); a test holds the two together.
DEFAULT_MARKETS: dict[str, list[str]] = {
    "cryptocompare": ["coinbase:BTC-USD", "coinbase:ETH-USD", "kraken:BTC-EUR"],
    "coinbase": ["coinbase:BTC-USD", "coinbase:ETH-USD"],
    "binance": ["binance:BTC-USDT", "binance:ETH-USDT"],
    "binanceus": ["binanceus:BTC-USDT"],
    "kraken": ["kraken:BTC-EUR", "kraken:ETH-EUR"],
    "okx": ["okx:BTC-USDT", "okx:ETH-USDT"],
}
SIMULATED_PROVIDERS = ["cryptocompare"]  # by default
LIVE_PROVIDERS = ["coinbase", "binance", "kraken"]  # none of them needs a key


def default_markets(providers: Sequence[str]) -> list[str]:
    """Return the markets to follow from the start."""
    return list(dict.fromkeys(market for name in providers for market in DEFAULT_MARKETS[name]))


def host_settings(provider: str) -> tuple[str, str]:
    """Return the names of the settings that hold a provider's two addresses: REST, stream."""
    return f"{provider.upper()}_REST_URL", f"{provider.upper()}_WS_URL"


def given_hosts(provider: str) -> tuple[str, str]:
    """Return a provider's two addresses, "" for one that is not set; raise ImproperlyConfigured."""
    rest, stream = host_settings(provider)
    return url(rest, "", ("http", "https")), url(stream, "", ("ws", "wss"))


def hosts(provider: str, saved: Mapping[str, str]) -> tuple[str, str]:
    """Return a provider's two addresses, in place of one that is not set what a running `up` saved, or ""."""
    rest, stream = (
        given or saved.get(name, "") for name, given in zip(host_settings(provider), given_hosts(provider), strict=True)
    )
    return rest, stream
