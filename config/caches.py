"""Django's caches: one Valkey, with three sets of timeouts."""

from __future__ import annotations

from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

NO_SERVER_URL = "redis://127.0.0.1:1/0"  # so that `up` and `check` work before there is a server


def caches(url: str) -> dict[str, Any]:
    """Return Django's CACHES; `hot` is asked before every answer, so its timeouts are short and it does not retry.

    Nor does `counters`, which pages and metrics show: they say "not known" rather than make people wait.
    """
    return {
        "default": _cache(url, 2, 5),
        "hot": _cache(url, 0.25, 0.25, retry=Retry(NoBackoff(), 0)),
        "counters": _cache(url, 0.5, 1, retry=Retry(NoBackoff(), 0)),
    }


def _cache(url: str, connect_timeout: float, timeout: float, **pool: Any) -> dict[str, Any]:
    location = url or NO_SERVER_URL
    # Timeouts are in the URL because django-redis shares one pool between caches with the same URL.
    separator = "&" if "?" in location else "?"
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{location}{separator}socket_connect_timeout={connect_timeout}&socket_timeout={timeout}",
        "KEY_PREFIX": "ck",
        "OPTIONS": {"CONNECTION_POOL_KWARGS": pool},
    }
