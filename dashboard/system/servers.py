"""Which servers and versions there are, and what waits in their queues."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from redis.exceptions import RedisError

from actor_runtime.reset_policy import reason_of
from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.gauges import unread_dynamic_records, unread_records
from datastore.access.counters import ask_counters
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.engines.edition import timescale_edition
from streaming.errors import StreamError
from streaming.topics import CANDLE_DATA, TICK_DATA


@dataclass(frozen=True, slots=True)
class Server:
    """A program we run on, its version, and what else is worth knowing of it."""

    name: str
    version: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """How much waits; depth None: unknown, `refusal` says why."""

    name: str
    what: str
    depth: int | None
    refusal: str = ""


def servers() -> list[Server]:
    """Return the programs we run on. Raises DatabaseError."""
    ((version, _),) = fetch_all(statement("system", "database"))
    return [
        Server("Candlekeep", settings.VERSION),
        Server("PostgreSQL", version.split()[0], timescale_edition().sentence),
        _cache(),
        _stream(),
        Server("Python", platform.python_version(), f"Django {django.get_version()}"),
    ]


def queues() -> list[Queue]:
    """Return what waits in topics and in Celery's queue, as it was some seconds ago."""
    return _queues.get()


def _cache() -> Server:
    try:
        told: dict[str, Any] = ask_counters(lambda client: client.info())
    except RedisError as exc:
        return Server("Valkey", "unknown", f"It does not answer: {reason_of(exc)}")
    name = "Valkey" if "valkey_version" in told else "Redis"
    version = told.get("valkey_version", told.get("redis_version", "unknown"))
    return Server(name, str(version), f"uses {told.get('used_memory_human', 'an unknown amount')} of memory")


def _stream() -> Server:
    if urlsplit(settings.STREAM_URL).scheme == "kafka":
        return Server("Kafka", "unknown", "its brokers do not say which version they are")
    same = settings.STREAM_URL == settings.REDIS_URL
    return Server("Stream", "Redis streams", "in the server of the cache" if same else "in a server of its own")


def _look() -> list[Queue]:
    return [
        _queue(TICK_DATA.name, "live records not stored yet", lambda: unread_records(TICK_DATA.name)),
        _queue(CANDLE_DATA.name, "pages of history not stored yet", lambda: unread_records(CANDLE_DATA.name)),
        _queue("dynamic topics", "live records not stored yet, all topics together", unread_dynamic_records),
        _queue("Celery", "jobs that no worker has begun", _jobs),
    ]


_queues = CachedAnswer(_look, times=4)


def _queue(name: str, what: str, depth: Callable[[], int]) -> Queue:
    try:
        return Queue(name, what, depth())
    except (StreamError, RedisError) as exc:
        return Queue(name, what, None, reason_of(exc))


def _jobs() -> int:
    return int(ask_counters(lambda client: client.llen(settings.CELERY_TASK_DEFAULT_QUEUE)))
