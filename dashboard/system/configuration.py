"""The settings as they are in force, without what is secret."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from actor_runtime.redaction import names_a_secret, without_secrets

NAMES = (
    "CANDLEKEEP_HOME",
    "HOST",
    "PORT",
    "PUBLIC_URL",
    "SSE_PORT",
    "SSE_URL",
    "ALLOWED_HOSTS",
    "REQUIRE_API_KEY",
    "TRUSTED_PROXIES",
    "RATE_LIMIT_PER_ADDRESS",
    "RATE_LIMIT_PER_KEY",
    "FETCH_BUDGET_PER_ADDRESS",
    "FETCH_BUDGET_PER_KEY",
    "CORS_ORIGINS",
    "LIVE",
    "PROVIDERS",
    "MARKETS",
    "CRYPTOCOMPARE_API_KEY",
    "PROVIDER_CALLS_PER_SECOND",
    "PROVIDER_CALLS_PER_MINUTE",
    "PROVIDER_CALLS_PER_HOUR",
    "PROVIDER_CALLS_PER_DAY",
    "LIVE_COPIES",
    "PRODUCER_POOL",
    "GRACE",
    "STALE_AFTER",
    "READER_QUEUE",
    "DATABASE_URL",
    "REDIS_URL",
    "STREAM_URL",
    "STREAM_MAXLEN",
    "STREAM_LEASE",
    "MAX_STREAMS",
    "TICK_RETENTION_DAYS",
    "DATABASE_POOL",
    "METRICS_DIR",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "DEBUG",
    "ADMIN_PASSWORD",
    "SECRET_KEY",
)


def shown_settings() -> list[tuple[str, str]]:
    """Return each setting with its value as it may be shown; of a secret only whether it is set."""
    return [(name, _shown(name, getattr(settings, name))) for name in NAMES]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if names_a_secret(name):
        return "set, not shown" if value else "not set"
    if value is None or value == "":
        return "not set"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value)) or "none"
    return without_secrets(str(value))
