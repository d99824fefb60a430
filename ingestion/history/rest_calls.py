"""How many calls of the provider's REST API are left: by our own count, and by the provider's."""

from __future__ import annotations

from contextlib import closing

from django.conf import settings
from redis.exceptions import RedisError

from ingestion.history.provider_quota import ProviderQuota
from ingestion.providers.cryptocompare.client import RestClient
from ingestion.providers.cryptocompare.rest import RateTold


def describe_calls_left() -> list[str]:
    """Return a line of each count, for people; asking the provider costs a call of the quota."""
    try:
        windows = ProviderQuota().remaining()
        ours = ", ".join(f"{name} {window.calls:,} of {window.limit:,}" for name, window in windows.items())
    except RedisError as exc:
        ours = f"not known, the cache does not answer ({exc})"
    return [f"Calls left by our count: {ours}", f"Calls left by the provider's: {_providers_count()}"]


def _providers_count() -> str:
    if not settings.CRYPTOCOMPARE_REST_URL:
        return "not known, there is no provider: start Candlekeep first"
    try:
        wait = ProviderQuota().take()
    except RedisError:
        wait = 0.0
    if wait:
        return f"not asked, the budget has its next call in {wait:.0f} s"
    with closing(RestClient(settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY)) as client:
        outcome = client.rate()
    if not isinstance(outcome, RateTold):
        return f"not known, {outcome.reason}"
    return ", ".join(f"{window} {calls:,}" for window, calls in outcome.left.items())
