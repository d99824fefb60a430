"""The one place that knows which broker it is."""

from __future__ import annotations

from urllib.parse import urlsplit

from streaming.broker import Broker
from streaming.errors import StreamError
from streaming.kafka_settings import KafkaAccess
from streaming.memory import MemoryBroker
from streaming.redis.broker import RedisBroker


def connect(url: str, maxlen: int, kafka: KafkaAccess = KafkaAccess()) -> Broker:  # noqa: B008 - it never changes
    """Return the broker of STREAM_URL; nothing is connected yet.

    redis://…, rediss://…, unix://… | memory://name (within this process): a topic holds at most about maxlen records.
    kafka://host:port,host:port: the cluster lets in as `kafka` says, and keeps what it is set to keep.
    Raises StreamError for any other URL.
    """
    scheme, name = urlsplit(url).scheme, urlsplit(url).netloc
    if scheme in ("redis", "rediss", "unix"):
        return RedisBroker(url, maxlen)
    if scheme == "memory" and name:
        return MemoryBroker.named(name, maxlen)
    if scheme == "kafka":
        from streaming.kafka.broker import KafkaBroker  # only here: its library takes a fifth of a second

        return KafkaBroker(url, kafka)
    raise StreamError("STREAM_URL must be redis://…, rediss://…, unix://…, kafka://host:port,… or memory://name")
