from __future__ import annotations

import pytest

from streaming.broker_factory import connect
from streaming.errors import PublishFailed, StreamError, StreamUnavailable
from streaming.kafka.broker import KafkaBroker
from streaming.kafka_settings import kafka_servers
from streaming.redis.broker import RedisBroker
from tests.support.streaming.contract import TOPIC, drain, messages, numbers, read_all
from tests.support.streaming.memory import MemoryBroker


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker(1000)
    broker.admin().create_topic(TOPIC)
    return broker


def test_a_broker_that_is_away_is_unavailable_to_every_role_until_it_comes_back(broker: MemoryBroker) -> None:
    publisher, subscription, admin = broker.publisher(), broker.subscribe("g", [TOPIC]), broker.admin()
    broker.go_away("plug pulled")
    with pytest.raises(PublishFailed, match="plug pulled") as caught:
        publisher.publish(TOPIC, messages(1, 3))
    assert caught.value.failed == (0, 1, 2)
    for use in (
        lambda: subscription.poll(1, 10),
        subscription.lag,
        lambda: admin.create_topic("more"),
        lambda: admin.delete_topic(TOPIC),
        admin.topics,
        lambda: broker.subscribe("g", [TOPIC]),
    ):
        with pytest.raises(StreamUnavailable, match="plug pulled"):
            use()
    broker.come_back()
    publisher.publish(TOPIC, messages(1, 3))
    assert numbers(drain(subscription)) == [1, 2, 3]


def test_a_broker_that_fills_up_takes_what_fits_and_names_the_rest(broker: MemoryBroker) -> None:
    broker.fill_up(room=2)
    with pytest.raises(PublishFailed) as caught:
        broker.publisher().publish(TOPIC, messages(1, 5))
    assert caught.value.failed == (2, 3, 4)
    assert numbers(read_all(broker)) == [1, 2]


def test_named_brokers_are_shared_within_the_process() -> None:
    try:
        first, second = connect("memory://shared", 50), connect("memory://shared", 50)
        assert first is second
        assert connect("memory://other", 50) is not first
    finally:
        MemoryBroker.forget("shared")
        MemoryBroker.forget("other")
    assert connect("memory://shared", 50) is not first
    MemoryBroker.forget("shared")


def test_the_url_decides_which_broker_it_is() -> None:
    assert isinstance(connect("redis://127.0.0.1:1/0", 50), RedisBroker)
    assert isinstance(connect("rediss://127.0.0.1:1/0", 50), RedisBroker)
    assert isinstance(connect("unix:///run/valkey.sock?db=1", 50), RedisBroker)
    assert isinstance(connect("kafka://one:1,two", 50), KafkaBroker)


def test_a_kafka_url_names_its_brokers_with_the_usual_port() -> None:
    assert kafka_servers("kafka://one:1, two,[::1]:3") == ["one:1", "two:9092", "[::1]:3"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory://", "STREAM_URL"),
        ("", "STREAM_URL"),
        ("kafka://", "at least one broker"),
        ("kafka:// , ", "at least one broker"),
        ("kafka://one:9092,two:many", "two:many is no broker"),
        ("kafka://one:70000", "between 1 and 65535"),
        ("kafka://one/topic", "ends with its brokers"),
        ("kafka://me:secret@one", "KAFKA_SASL_USERNAME"),
    ],
)
def test_a_url_of_no_broker_of_ours_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(StreamError, match=reason) as caught:
        connect(url, 50)
    assert "secret" not in str(caught.value)
