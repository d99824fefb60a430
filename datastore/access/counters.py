"""Counters in Valkey that pages and metrics show, asked with little patience."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError, TimeoutError

from actor_runtime.breaker import breaker_of

T = TypeVar("T")


def ask_counters(read: Callable[[Any], T]) -> T:
    """Return what read(client) returns; raise RedisError after a second at most, at once if that was a moment ago."""
    with breaker_of(settings.REDIS_URL).asking(ConnectionError, TimeoutError):
        return read(get_redis_connection("counters"))
