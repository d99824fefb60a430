"""What is left of the calls of the provider's REST API: by our own count, and by the provider's word."""

from __future__ import annotations

from django.conf import settings
from redis.exceptions import RedisError

from ingestion.history.provider_quota import ProviderQuota
from ingestion.providers.cryptocompare.client import RestClient
from ingestion.providers.cryptocompare.rest import RateTold


def describe_calls_left() -> list[str]:
    """Return a line of each, for people; asking costs a call of the budget."""
    return [f"Calls left by our count: {_counted()}", f"Calls left by the provider's: {_told()}"]


def _counted() -> str:
    try:
        left = ProviderQuota().remaining()
    except RedisError as exc:
        return f"not known, the cache does not answer ({exc})"
    return ", ".join(f"{window} {one.calls:,} of {one.limit:,}" for window, one in left.items())


def _told() -> str:
    if not settings.CRYPTOCOMPARE_REST_URL:
        return "not known, there is no provider: start Candlekeep first"
    try:
        wait = ProviderQuota().take()
    except RedisError:
        wait = 0.0
    if wait:
        return f"not asked, the budget has its next call in {wait:.0f} s"
    client = RestClient(settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY)
    try:
        found = client.rate()
    finally:
        client.close()
    if not isinstance(found, RateTold):
        return f"not known, {found.reason}"
    return ", ".join(f"{window} {calls:,}" for window, calls in found.left.items())
