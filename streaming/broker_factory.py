"""The one place that knows which broker it is."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from streaming.broker import Broker
from streaming.errors import StreamError
from streaming.kafka_settings import KafkaAccess
from streaming.redis.broker import RedisBroker

Adapter = Callable[[str, int, KafkaAccess, float | None], Broker]


def _redis(url: str, maxlen: int, kafka: KafkaAccess, answer_s: float | None) -> Broker:
    return RedisBroker(url, maxlen, answer_s)


def _kafka(url: str, maxlen: int, kafka: KafkaAccess, answer_s: float | None) -> Broker:
    from streaming.kafka.broker import KafkaBroker  # only here: its library takes a fifth of a second to import

    return KafkaBroker(url, kafka)


ADAPTERS: dict[str, Adapter] = {"redis": _redis, "rediss": _redis, "unix": _redis, "kafka": _kafka}  # by URL scheme


def connect(
    url: str,
    maxlen: int,
    kafka: KafkaAccess = KafkaAccess(),  # noqa: B008 - it never changes
    answer_s: float | None = None,
) -> Broker:
    """Return the broker of STREAM_URL; nothing is connected yet. Raise StreamError for any URL but these:

    redis://…, rediss://…, unix://…: a topic holds at most about maxlen records.
    kafka://host:port,host:port: the cluster accepts us by what `kafka` says, and keeps what it is set to keep.
    answer_s: how long to wait for an answer of Redis, at most; a Kafka cluster has its usual seconds.
    """
    adapter = ADAPTERS.get(urlsplit(url).scheme)
    if adapter is None:
        raise StreamError("STREAM_URL must be redis://…, rediss://…, unix://… or kafka://host:port,…")
    return adapter(url, maxlen, kafka, answer_s)
