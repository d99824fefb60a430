"""The consumer of a fixed topic where the broker is a Kafka, alone and with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from django_redis import get_redis_connection

from actor_runtime.loop.runner import Runner
from config.monitoring.gauges import unread_records
from consumers.fixed_consumer_actor import FixedTopicWork
from consumers.models import FixedTopicConsumer
from dashboard.lags import fixed_lags
from datastore.coverage.feed_progress import note_acknowledged
from datastore.models import Coverage, Feed, Tick
from datastore.reference.markets import ensure_markets
from streaming.broker import Message, Record
from streaming.kafka.broker import KafkaBroker
from streaming.records import LiveRecord, encode
from streaming.topics import CONSUMER_GROUP, TICK_DATA
from tests.support.consumers.fixed import session_records
from tests.support.datastore.records import BTC, FEED, NOON, moment, opened, trade
from tests.support.kafka.fixtures import LIBRARY_S_SOCKETS
from tests.support.kafka.group_members import Member, Store
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import until

pytestmark = LIBRARY_S_SOCKETS

MARKETS = [BTC, *(f"coinbase:T{n}-USD" for n in range(30))]


class Elsewhere(Store):
    """Where another process stores: nothing of it is seen here."""

    def keep(self, records: Sequence[Record]) -> None:
        pass


@pytest.fixture
def eight(transactional_db: None, settings: Any, kafka: PrivateKafka, broker: KafkaBroker) -> KafkaBroker:
    """The broker with tick-data as the platform makes it, and the platform pointed at it."""
    settings.STREAM_URL = kafka.url
    get_redis_connection("default").flushall()
    ensure_markets(MARKETS)
    with closing(broker.admin()) as admin:
        admin.delete_topic(TICK_DATA.name)
    return broker


def publish(broker: KafkaBroker, records: list[LiveRecord]) -> None:
    with closing(broker.publisher()) as publisher:
        publisher.publish(TICK_DATA.name, [Message(record.market, encode(record)) for record in records])


def step_until(runner: Runner, what: str, done: Callable[[], object]) -> None:
    """Give turns until it is so."""

    def look() -> object:
        runner.step()
        return done()

    until(what, look, 90)


def test_trades_become_candles_and_the_topic_counts_as_read(eight: KafkaBroker) -> None:
    runner = Runner(FixedTopicWork(TICK_DATA.name), Event())
    step_until(runner, "it works", lambda: FixedTopicConsumer.objects.exists() and TICK_DATA.name in topics(eight))
    publish(eight, session_records())
    note_acknowledged(FEED, moment(NOON + 5), markets=[BTC])
    step_until(runner, "the trades", lambda: Tick.objects.count() == 30)
    step_until(runner, "the end", lambda: Feed.objects.get().drained_at)
    runner.end()
    assert (Coverage.objects.get().stop - Coverage.objects.get().start).total_seconds() == 295
    assert FixedTopicConsumer.objects.get().error_count == 0
    assert unread_records(TICK_DATA.name) == fixed_lags()[TICK_DATA.name] == 0
    with closing(eight.subscribe(CONSUMER_GROUP, [TICK_DATA.name])) as onlooker:
        assert len(onlooker.progress()) == TICK_DATA.partitions


def topics(broker: KafkaBroker) -> set[str]:
    with closing(broker.admin()) as admin:
        return admin.topics()


def test_a_feed_is_behind_while_another_consumer_has_not_stored_its_part(eight: KafkaBroker) -> None:
    runner = Runner(FixedTopicWork(TICK_DATA.name), Event())
    assert runner.work.several
    step_until(runner, "it works", lambda: TICK_DATA.name in topics(eight))
    other = Member(eight, Elsewhere(), CONSUMER_GROUP)
    other.commits.clear()
    step_until(runner, "they share it", lambda: other.failure or other.partitions == 4)
    published = [trade(n, NOON + n, market=market) for market in MARKETS for n in (1, 2)]
    publish(eight, [opened(1, NOON), *published])
    note_acknowledged(FEED, moment(NOON + 5), markets=MARKETS)
    step_until(runner, "all is read", lambda: other.read and Tick.objects.count() + other.read >= len(published))
    turns = iter(range(20))
    step_until(runner, "some looks", lambda: next(turns, None) is None)
    assert Feed.objects.get().drained_at is None
    assert unread_records(TICK_DATA.name) == other.read
    other.commits.set()
    step_until(runner, "its end", lambda: other.failure or Feed.objects.get().drained_at)
    other.leave()
    runner.end()
