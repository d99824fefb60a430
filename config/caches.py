"""Django's caches: one Valkey, asked with two kinds of patience."""

from __future__ import annotations

from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

NO_SERVER_URL = "redis://127.0.0.1:1/0"  # no server yet: `up` and `check` still work


def caches(url: str) -> dict[str, Any]:
    """Return Django's CACHES. hot: asked before every answer, so one that hangs is given up soon."""
    # The library's own patience is seconds long.
    return {"default": _cache(url, 2, 5), "hot": _cache(url, 0.25, 0.25, retry=Retry(NoBackoff(), 0))}


def _cache(url: str, connect_timeout: float, timeout: float, **pool: Any) -> dict[str, Any]:
    location = url or NO_SERVER_URL
    # In the address, since django-redis shares one pool between caches of the same address.
    mark = "&" if "?" in location else "?"
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{location}{mark}socket_connect_timeout={connect_timeout}&socket_timeout={timeout}",
        "KEY_PREFIX": "ck",
        "OPTIONS": {"CONNECTION_POOL_KWARGS": pool},
    }
