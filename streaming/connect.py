"""The one place that knows which broker it is."""

from __future__ import annotations

from urllib.parse import urlsplit

from streaming.errors import StreamError
from streaming.memory import MemoryBroker
from streaming.port import Broker
from streaming.redis_streams import RedisBroker


def connect(url: str, maxlen: int) -> Broker:
    """Return the broker of STREAM_URL, with at most about maxlen records per topic; nothing is connected yet.

    redis://…, rediss://… | memory://name (within this process). Raises StreamError for any other URL.
    """
    scheme, name = urlsplit(url).scheme, urlsplit(url).netloc
    if scheme in ("redis", "rediss"):
        return RedisBroker(url, maxlen)
    if scheme == "memory" and name:
        return MemoryBroker.named(name, maxlen)
    if scheme == "kafka":
        raise StreamError("kafka:// is not supported in this version: set STREAM_URL to redis://…")
    raise StreamError("STREAM_URL must be redis://…, rediss://… or memory://name")
