"""50,000 trades through a Kafka that is killed, to consumers that come, leave and die: each stored once, in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Count, Sum
from django_redis import get_redis_connection
from kafka.errors import KafkaError

from consumers.models import FixedTopicConsumer
from datastore.models import Candle, Coverage, Tick
from datastore.reference.markets import ensure_markets
from streaming.broker import Message, Publisher
from streaming.errors import PublishFailed, StreamUnavailable
from streaming.kafka.broker import KafkaBroker
from streaming.kafka.connection import group_id
from streaming.records import LiveRecord, encode
from streaming.topics import CONSUMER_GROUP, TICK_DATA
from tests.support.broker_backends import empty
from tests.support.database import database_url
from tests.support.datastore.records import NOON, SECOND, opened, trade, watermark
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
MARKETS = [f"coinbase:T{n}-USD" for n in range(25)]
EACH = 2000  # trades of a market
STEP = SECOND // 4  # between two of them
BATCH = 250  # trades published at once


def feed(market: str) -> list[LiveRecord]:
    """Return a market's whole feed: its opening, its trades, a claim at its end."""
    trades = [trade(n, NOON + n * STEP, amount="0.01", market=market) for n in range(2, EACH + 2)]
    return [opened(1, NOON, market=market), *trades, watermark(EACH + 2, NOON + (EACH + 2) * STEP, market=market)]


class Producer:
    """Publishes a part of the trades after the other, what failed first, as the live producer does."""

    def __init__(self, broker: KafkaBroker) -> None:
        feeds = [feed(market) for market in MARKETS]
        self._waiting = [record for records in zip(*feeds, strict=True) for record in records]
        self._broker = broker
        self.failures = 0

    def publish(self, count: int) -> None:
        """Publish so many more records."""
        with closing(self._broker.publisher()) as publisher:
            while count > 0:
                part, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                self._insist(publisher, part)
                count -= len(part)

    def _insist(self, publisher: Publisher, part: list[LiveRecord]) -> None:
        while part:
            try:
                publisher.publish(TICK_DATA.name, [Message(record.market, encode(record)) for record in part])
                return
            except PublishFailed as exc:
                self.failures += 1
                part = [part[index] for index in exc.failed]
                threading.Event().wait(0.2)

    def finish(self) -> None:
        self.publish(len(self._waiting))


class Consumer:
    """A real process of `run_fixed_consumer`."""

    def __init__(self, url: str, log: Any) -> None:
        command = [sys.executable, "manage.py", "run_fixed_consumer", "--topic", TICK_DATA.name]
        env = os.environ | {"DATABASE_URL": database_url(), "STREAM_URL": url, "LOG_LEVEL": "INFO"}
        self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(60)


@pytest.fixture
def broker(transactional_db: None, kafka: PrivateKafka) -> KafkaBroker:
    """An empty cluster with tick-data as the platform makes it."""
    empty(kafka)
    get_redis_connection("default").flushall()
    ensure_markets(MARKETS)
    with closing(kafka.broker().admin()) as admin:
        admin.create_topic(TICK_DATA.name, TICK_DATA.partitions)
    return kafka.broker()


@pytest.fixture
def consumers(broker: KafkaBroker, kafka: PrivateKafka, tmp_path: Any) -> Iterator[list[Consumer]]:
    """Consumers that a test starts; whatever is left of them ends with it."""
    running: list[Consumer] = []
    with (tmp_path / "log").open("wb") as log:
        running.append(Consumer(kafka.url, log))
        running.append(Consumer(kafka.url, log))
        running.append(Consumer(kafka.url, log))
        yield running
        for consumer in running:
            if consumer.process.poll() is None:
                consumer.end(signal.SIGKILL)
    print((tmp_path / "log").read_text()[-5000:])


def members(kafka: PrivateKafka) -> int:
    """Return how many consumers share the topic now, once they have shared it out."""
    name = group_id(CONSUMER_GROUP, [TICK_DATA.name])
    try:
        with kafka.client() as client:
            group = client.describe_groups([name])[name]
    except (KafkaError, StreamUnavailable):
        return 0
    return len(group["members"]) if group["group_state"] == "Stable" else 0


def test_nothing_is_lost_doubled_or_out_of_order(
    kafka: PrivateKafka, broker: KafkaBroker, consumers: list[Consumer]
) -> None:
    producer = Producer(broker)
    producer.publish(5_000)
    # The rows beyond the first are made after 15 s, once it is sure that no dead owner's becomes free.
    until("three share the topic", lambda: members(kafka) == 3, 120)

    worker = threading.Thread(target=producer.publish, args=(30_000,))
    worker.start()
    until("trades are stored", lambda: Tick.objects.count() > 8_000, 60)
    kafka.kill()
    kafka.start()
    until("trades go on", lambda: Tick.objects.count() > 20_000, 120)
    consumers[0].end(signal.SIGKILL)
    until("two share it", lambda: members(kafka) == 2, 60)
    consumers[1].end(signal.SIGTERM)
    until("one has all of it", lambda: members(kafka) == 1, 60)
    worker.join(120)
    producer.finish()
    until("all are stored", lambda: Tick.objects.count() == len(MARKETS) * EACH, 120)
    with closing(broker.subscribe(CONSUMER_GROUP, [TICK_DATA.name])) as onlooker:
        until("all is committed", lambda: onlooker.lag() == 0, 60)
    consumers[2].end(signal.SIGTERM)

    assert producer.failures > 0, "the broker was killed while nothing was published"
    assert Tick.objects.values("market", "trade_id").annotate(Count("pk")).count() == len(MARKETS) * EACH
    assert Candle.objects.filter(resolution=60).aggregate(n=Sum("trades"))["n"] == len(MARKETS) * EACH
    # A record out of order, or one that is missing, ends the span where it was.
    assert Coverage.objects.count() == len(MARKETS)
    length = (EACH + 2) * STEP / SECOND
    assert {(span.stop - span.start).total_seconds() for span in Coverage.objects.all()} == {length}
    assert FixedTopicConsumer.objects.count() == 3
    assert in_order(broker)


def in_order(broker: KafkaBroker) -> bool:
    """Return whether the topic holds each market's trades in order, where what came twice counts the first time."""
    seen: dict[str, list[bytes]] = {market: [] for market in MARKETS}
    with closing(broker.assign("judge", [TICK_DATA.name])) as judge:
        while records := judge.poll(1, 5000):
            for record in records:
                seen[record.key].append(record.value)
    expected = {market: [encode(record) for record in feed(market)] for market in MARKETS}
    return {market: list(dict.fromkeys(values)) for market, values in seen.items()} == expected
