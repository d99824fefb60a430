"""What a real Kafka does to the adapter: killed, frozen, refusing, its topics and groups gone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from streaming.broker import MAX_RECORD_BYTES, Message, Record
from streaming.errors import BadRecord, GroupLost, PublishFailed, StreamError, StreamUnavailable, TopicMissing
from streaming.kafka.broker import KafkaBroker
from streaming.kafka.connection import TOPIC_PREFIX
from tests.support.broker_backends import expire
from tests.support.kafka.fixtures import LIBRARY_S_SOCKETS
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import until
from tests.support.streaming.contract import GROUP, OTHER, TOPIC, drain, messages, numbers, publish, read_all

pytestmark = LIBRARY_S_SOCKETS

WITHIN = 5.0  # seconds that a broker without an answer may hold a call


def noise(size: int, seed: int = 7) -> bytes:
    """Return bytes that no compression makes fewer."""
    return random.Random(seed).randbytes(size)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    before = time.monotonic()
    yield
    assert time.monotonic() - before < seconds


def configure(kafka: PrivateKafka, **settings: str) -> None:
    """Change settings of tick-data at the broker; underscores stand for dots."""
    changes = {name.replace("_", "."): value for name, value in settings.items()}
    with kafka.client() as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC_PREFIX + TOPIC, changes)])


def test_nothing_acknowledged_or_committed_is_lost_when_the_broker_is_killed(
    kafka: PrivateKafka, broker: KafkaBroker
) -> None:
    with closing(broker.publisher()) as publisher, closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        publisher.publish(TOPIC, messages(1, 30))
        subscription.commit(subscription.poll(1, 10))
        kafka.kill()
        with pytest.raises(PublishFailed) as caught:
            publisher.publish(TOPIC, messages(31, 33))
        assert caught.value.failed == (0, 1, 2)
        with pytest.raises(StreamUnavailable):
            while subscription.poll(1, 10):  # what it had fetched already it may give
                pass
        kafka.start()
        publisher.publish(TOPIC, messages(31, 33))
        assert subscription.lag() == 23
        rest: list[Record] = []
        # The broker remembers the member that could not say goodbye for the length of a session.
        until("the rest", lambda: rest.extend(subscription.poll(1, 100)) or len(rest) >= 23, 60)
        assert numbers(rest) == list(range(11, 34))


def test_a_frozen_broker_is_named_within_five_seconds_and_the_next_call_works(
    kafka: PrivateKafka, broker: KafkaBroker
) -> None:
    publisher, subscription, admin = broker.publisher(), broker.subscribe(GROUP, [TOPIC]), broker.admin()
    publisher.publish(TOPIC, messages(1, 5))
    given = drain(subscription)  # all of them: what is left in the library's hands needs no broker
    assert len(given) == 5
    uses: list[Callable[[], object]] = [
        lambda: publisher.publish(TOPIC, messages(6, 8)),
        lambda: subscription.poll(0.1, 10),
        admin.topics,
        lambda: broker.subscribe("others", [TOPIC]),
    ]

    def name_of_failure(use: Callable[[], object]) -> str:
        with at_most(WITHIN), pytest.raises(StreamUnavailable) as caught:
            use()
        return type(caught.value).__name__

    subscription._thread_id = None  # the first thread only lent it
    with ThreadPoolExecutor(4) as pool, kafka.frozen():
        failures = [list(pool.map(name_of_failure, uses)), [name_of_failure(use) for use in uses[:1]]]
    assert failures == [["PublishFailed", *["StreamUnavailable"] * 3], ["PublishFailed"]]
    publisher.publish(TOPIC, messages(6, 8))
    assert admin.topics() == {TOPIC}
    publisher.close()
    subscription.close()
    admin.close()
    assert numbers(given) == [1, 2, 3, 4, 5]
    first_seen = list(dict.fromkeys(numbers(read_all(broker))))  # what was sent before the freeze may come twice
    assert first_seen == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_record_that_the_broker_refuses_is_named_and_stops_nothing_behind_it(
    kafka: PrivateKafka, broker: KafkaBroker
) -> None:
    configure(kafka, max_message_bytes="20000")
    large = Message("coinbase:K0-USD", noise(30_000))
    with closing(broker.publisher()) as publisher:
        publisher.publish(TOPIC, messages(1, 5))
        batch = [*messages(6, 9), large, *messages(10, 12)]
        with pytest.raises(BadRecord, match="refuses") as caught:
            publisher.publish(TOPIC, batch)
        assert caught.value.index == 4
        publisher.publish(TOPIC, [message for message in batch if message is not large])
        publisher.publish(TOPIC, messages(13, 14))
    assert list(dict.fromkeys(numbers(read_all(broker)))) == list(range(1, 15))


def test_many_records_that_only_together_are_too_large_are_sent_in_order(
    kafka: PrivateKafka, broker: KafkaBroker
) -> None:
    configure(kafka, max_message_bytes="3000")
    published = [Message("k", noise(1000, n)) for n in range(60)]
    publish(broker, published)
    assert [record.value for record in read_all(broker)] == [message.value for message in published]


def test_the_largest_record_that_is_allowed_is_taken(broker: KafkaBroker) -> None:
    value = noise(MAX_RECORD_BYTES - 1)
    publish(broker, [Message("k", value)] * 3)
    assert [record.value == value for record in read_all(broker)] == [True] * 3


@pytest.mark.parametrize("way", ["subscribe", "assign"])
def test_a_topic_deleted_under_its_reader_is_missing(broker: KafkaBroker, way: str) -> None:
    publish(broker, messages(1, 5))
    with closing(getattr(broker, way)(GROUP, [TOPIC])) as subscription, closing(broker.admin()) as admin:
        drain(subscription)
        assert admin.delete_topic(TOPIC)
        for use in (lambda: subscription.poll(0.1, 10), subscription.lag, subscription.progress):
            with pytest.raises(TopicMissing):
                use()
        with pytest.raises(TopicMissing):
            publish(broker, messages(6, 6))


@pytest.mark.parametrize("way", ["subscribe", "assign"])
def test_a_topic_made_anew_is_another_one_and_its_first_records_are_not_skipped(broker: KafkaBroker, way: str) -> None:
    publish(broker, messages(1, 5))
    with closing(getattr(broker, way)(GROUP, [TOPIC])) as subscription, closing(broker.admin()) as admin:
        subscription.commit(drain(subscription))
        admin.delete_topic(TOPIC)
        assert admin.create_topic(TOPIC)
        publish(broker, messages(6, 20))
        with pytest.raises((TopicMissing, GroupLost)):
            for _ in range(20):
                subscription.poll(0.1, 10)
    with closing(getattr(broker, way)(GROUP, [TOPIC])) as again:
        assert numbers(drain(again)) == list(range(6, 21))


def test_a_publisher_goes_on_in_a_topic_made_anew(broker: KafkaBroker) -> None:
    with closing(broker.publisher()) as publisher, closing(broker.admin()) as admin:
        publisher.publish(TOPIC, messages(1, 5))
        admin.delete_topic(TOPIC)
        with pytest.raises(TopicMissing):
            publisher.publish(TOPIC, messages(6, 7))
        admin.create_topic(TOPIC)
        publisher.publish(TOPIC, messages(6, 7))
    assert numbers(read_all(broker)) == [6, 7]


def test_a_loss_while_no_reader_runs_is_named_by_the_next_one(kafka: PrivateKafka, broker: KafkaBroker) -> None:
    publish(broker, messages(1, 500))
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        given = subscription.poll(1, 300)
        subscription.commit(given)
    publish(broker, messages(501, 5000))
    expire(kafka, TOPIC, 100)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        assert subscription.lag() == 100
        rest = drain(subscription)
        (loss,) = subscription.take_losses()
    assert (loss.position, len(given) + loss.count + len(rest)) == (given[-1].position, 5000)


def test_a_group_that_never_read_is_told_what_it_lost_since_it_began(kafka: PrivateKafka, broker: KafkaBroker) -> None:
    broker.subscribe(GROUP, [TOPIC]).close()
    publish(broker, messages(1, 50))
    expire(kafka, TOPIC, 10)
    with closing(broker.subscribe(GROUP, [TOPIC])) as subscription:
        assert numbers(drain(subscription)) == list(range(41, 51))
        assert [loss.count for loss in subscription.take_losses()] == [40]
    with closing(broker.subscribe("newcomers", [TOPIC])) as newcomer:
        assert len(drain(newcomer)) == 10
        assert newcomer.take_losses() == []


def test_what_cannot_be_made_is_refused_for_good(broker: KafkaBroker, kafka: PrivateKafka) -> None:
    with closing(broker.admin()) as admin, pytest.raises(StreamError) as caught:
        admin.create_topic(OTHER, 0)
    assert type(caught.value) is StreamError
