"""How many records of each topic are not stored yet."""

from __future__ import annotations

from contextlib import closing

from actor_runtime.configured_broker import configured_broker
from config.monitoring.cached_answer import CachedAnswer
from consumers.fixed_consumer_actor import GROUP
from streaming.errors import StreamError
from streaming.topics import FIXED_TOPICS


def fixed_lags() -> dict[str, int]:
    """Return by fixed topic how many records are not stored yet, asked at most once a second."""
    return _fixed_lags.get()


def unread(topics: list[str], *, shared: bool) -> dict[str, int]:
    """Return by topic how many records are not stored yet; nothing while the stream is away."""
    if not topics:
        return {}
    try:
        with closing(configured_broker().admin()) as admin:
            return admin.unread(GROUP, topics, shared=shared)
    except StreamError:
        return {}


_fixed_lags = CachedAnswer(lambda: unread(list(FIXED_TOPICS), shared=True))
