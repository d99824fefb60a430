"""How many records of each topic are not stored yet."""

from __future__ import annotations

from actor_runtime.configured_broker import brief_admin
from config.monitoring.cached_answer import CachedAnswer
from streaming.errors import StreamError
from streaming.topics import CONSUMER_GROUP, FIXED_TOPICS


def fixed_lags() -> dict[str, int]:
    """Return by fixed topic how many records are not stored yet, asked at most once a second."""
    return _fixed_lags.get()


def dynamic_lags(topics: list[str]) -> dict[str, int]:
    """Return by dynamic topic how many records are not stored yet; nothing while the stream is away."""
    if not topics:
        return {}
    try:
        with brief_admin() as admin:
            return admin.unread(CONSUMER_GROUP, topics, shared=False)
    except StreamError:
        return {}


def _look() -> dict[str, int]:
    try:
        with brief_admin() as admin:
            # One topic at a time: each has its consumers, and a group on Kafka is that of what is read together.
            found = [admin.unread(CONSUMER_GROUP, [each], shared=True) for each in FIXED_TOPICS]
            return {name: lag for lags in found for name, lag in lags.items()}
    except StreamError:
        return {}


_fixed_lags = CachedAnswer(_look)
