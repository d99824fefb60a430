"""How many calls of the provider's REST API are left: by our own count, and by the provider's."""

from __future__ import annotations

from contextlib import closing

from redis.exceptions import RedisError

from ingestion.history.provider_quota import quota_of
from ingestion.history.rest_client import RestClient
from ingestion.provider_access import REST, access_of
from ingestion.providers.answers import CallsLeft, why
from ingestion.providers.port import Provider
from ingestion.providers.table import configured


def describe_calls_left() -> list[str]:
    """Return a line of each count, for people; asking a provider costs a call of its quota."""
    return [line for provider in configured() for line in _lines(provider)]


def _lines(provider: Provider) -> list[str]:
    of = f" of {provider.name}" if len(configured()) > 1 else ""
    paused = None
    try:
        quota = quota_of(provider.traits)
        windows, paused = quota.remaining(), quota.pause_reason()
        ours = ", ".join(f"{name} {window.calls:,} of {window.limit:,}" for name, window in windows.items())
    except RedisError as exc:
        ours = f"not known, the cache does not answer ({exc})"
    lines = [f"Calls{of} left by our count: {ours}"]
    lines += [f"Calls{of} are paused: {paused}"] if paused else []
    if provider.allowance is not None:
        lines.append(f"Calls{of} left by the provider's: {_providers_count(provider)}")
    return lines


def _providers_count(provider: Provider) -> str:
    access = access_of(provider, REST)
    if not access.url:
        return "not known, there is no provider: start Candlekeep first"
    try:
        wait = quota_of(provider.traits).take(provider.allowance.left_request().weight if provider.allowance else 1)
    except RedisError:
        wait = 0.0
    if wait:
        return f"not asked, the budget has its next call in {wait:.0f} s"
    with closing(RestClient(provider, access)) as client:
        outcome = client.calls_left()
    if not isinstance(outcome, CallsLeft):
        return f"not known, {why(outcome)}"
    return ", ".join(f"{window} {calls:,}" for window, calls in outcome.left.items())
