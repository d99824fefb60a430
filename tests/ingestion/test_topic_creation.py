"""The short-lived Producer that makes dynamic topics."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from actor_runtime.loop.runner import Runner
from actor_runtime.models import TransitionLog
from datastore.models import DynamicTopic
from datastore.reference.markets import get_or_create_market
from ingestion import tasks
from ingestion.history.pool import ensure_pool
from ingestion.models import Producer
from ingestion.topics.topic_producer_actor import GIVEN_UP_REASON, NAME_USED_REASON, TopicProducer, create
from streaming.broker import Broker
from streaming.broker_factory import connect
from tests.support.streaming.memory import MemoryAdmin, MemoryBroker
from tests.support.valkey import private_valkey

pytestmark = pytest.mark.django_db(transaction=True)
BTC, ETH = "coinbase:BTC-USD", "coinbase:ETH-USD"
State = DynamicTopic.State


@pytest.fixture
def broker(settings: Any) -> Iterator[MemoryBroker]:
    name = uuid.uuid4().hex
    settings.STREAM_URL = f"memory://{name}"
    yield MemoryBroker.named(name, django_settings.STREAM_MAXLEN)
    MemoryBroker.forget(name)


def asked(symbol: str = BTC, name: str = "dyn-coinbase-BTC-USD-g1", **fields: Any) -> DynamicTopic:
    return DynamicTopic.objects.create(
        market=get_or_create_market(symbol), name=name, requested_at=timezone.now(), **fields
    )


def made(topic: DynamicTopic) -> DynamicTopic:
    create(topic.pk, Event())
    topic.refresh_from_db()
    return topic


def events() -> list[str]:
    return list(TransitionLog.objects.order_by("id").values_list("event", flat=True))


def topics(broker: Broker) -> set[str]:
    return broker.admin().topics()


def test_a_topic_is_made_and_its_row_says_by_whom(broker: MemoryBroker) -> None:
    topic = made(asked())
    assert topics(broker) == {topic.name}
    assert topic.created_at and topic.creator == "producer-topic-1"
    assert (topic.state, topic.create_error) == (State.CREATING, None)
    assert events() == ["CREATE_DYNAMIC_TOPIC", "CREATE_TOPIC_SUCCESS"]
    actor = Producer.objects.get()
    assert (actor.name, actor.state, actor.owner) == ("producer-topic-1", Producer.State.IDLE, "")


@pytest.mark.slow
def test_a_topic_is_made_on_valkey_too(settings: Any) -> None:
    with private_valkey() as server:
        settings.STREAM_URL = server.url
        topic = made(asked())
        assert topic.created_at
        assert topics(connect(server.url, 1000)) == {topic.name}


def test_a_name_that_the_broker_knows_already_is_refused_and_left_alone(broker: MemoryBroker) -> None:
    topic = asked()
    broker.admin().create_topic(topic.name)
    made(topic)
    assert (topic.created_at, topic.create_error) == (None, NAME_USED_REASON)
    assert topics(broker) == {topic.name}
    assert events() == ["CREATE_DYNAMIC_TOPIC", "CREATE_TOPIC_FAILURE", "RESET"]
    assert TransitionLog.objects.get(event="RESET").by == "route fault"
    assert Producer.objects.get().state == Producer.State.IDLE


def test_a_broker_that_is_away_is_the_topics_error_and_the_actor_is_free_at_once(broker: MemoryBroker) -> None:
    broker.go_away("unplugged")
    topic = made(asked())
    assert topic.created_at is None
    assert "unplugged" in (topic.create_error or "")
    assert (Producer.objects.get().state, Producer.objects.get().reset_at) == (Producer.State.IDLE, None)
    broker.come_back()
    assert made(asked(ETH, "dyn-coinbase-ETH-USD-g2")).created_at


@pytest.mark.slow
def test_a_valkey_that_is_dead_is_the_topics_error(settings: Any) -> None:
    with private_valkey() as server:
        settings.STREAM_URL = server.url
        server.kill()
        assert "StreamUnavailable" in (made(asked()).create_error or "")


def test_a_name_that_no_broker_takes_is_the_topics_error(broker: MemoryBroker) -> None:
    assert "not a topic name" in (made(asked(name="dyn-coinbase-B*C-USD-g1")).create_error or "")


def test_the_same_task_twice_makes_one_topic(broker: MemoryBroker) -> None:
    topic = made(asked())
    first = topic.created_at
    assert made(topic).created_at == first
    assert topic.create_error is None
    assert events().count("CREATE_DYNAMIC_TOPIC") == 1


@pytest.mark.parametrize("state", [State.NOTIFYING, State.RETIRING, State.RETIRED])
def test_a_task_that_comes_late_does_nothing(broker: MemoryBroker, state: State) -> None:
    topic = made(asked(state=state))
    assert (topic.created_at, topic.create_error, topics(broker), events()) == (None, None, set(), [])


def test_a_topic_that_was_given_up_while_it_was_made_is_taken_back(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = asked()
    make = MemoryAdmin.create_topic

    def slowly(admin: MemoryAdmin, name: str, partitions: int = 1) -> bool:
        DynamicTopic.objects.update(state=State.RETIRING)  # meanwhile the Coordinator's patience has ended
        return make(admin, name, partitions)

    monkeypatch.setattr(MemoryAdmin, "create_topic", slowly)
    made(topic)
    assert (topic.created_at, topic.create_error, topics(broker)) == (None, None, set())
    failure = TransitionLog.objects.get(event="CREATE_TOPIC_FAILURE")
    assert GIVEN_UP_REASON in failure.reason
    assert Producer.objects.get().state == Producer.State.IDLE


class Killed(BaseException):
    """What no actor can catch."""


def test_a_job_that_died_in_the_middle_leaves_its_row_to_the_next_one(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(admin: MemoryAdmin, name: str, partitions: int = 1) -> bool:
        raise Killed

    job, topic = Runner(TopicProducer(asked().pk), Event()), asked(ETH, "dyn-coinbase-ETH-USD-g2")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(MemoryAdmin, "create_topic", die)
        for _ in range(5):
            job.step()
    assert Producer.objects.get().state == Producer.State.CREATING_DYNAMIC_TOPIC
    Producer.objects.update(owner="")  # nobody lives who had it
    assert made(topic).creator == "producer-topic-1"
    assert Producer.objects.count() == 1
    assert "abandoned in Creating Dynamic Topic" in TransitionLog.objects.get(event="CREATE_TOPIC_FAILURE").reason


def test_a_fault_that_nobody_thought_of_is_the_topics_error_and_keeps_no_later_one_waiting(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(admin: MemoryAdmin, name: str, partitions: int = 1) -> bool:
        raise ArithmeticError("a name nobody thought of")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryAdmin, "create_topic", fail)
        assert "nobody thought of" in (made(asked()).create_error or "")
    assert made(asked(ETH, "dyn-coinbase-ETH-USD-g2")).created_at


def test_a_busy_history_pool_keeps_no_topic_waiting(broker: MemoryBroker) -> None:
    ensure_pool()
    Producer.objects.update(owner="another:1:1", heartbeat_at=timezone.now())
    assert made(asked()).created_at


def test_two_topics_at_once_are_both_made(broker: MemoryBroker) -> None:
    both = [asked(), asked(ETH, "dyn-coinbase-ETH-USD-g2")]

    def work(topic: DynamicTopic) -> None:
        try:
            tasks.create_topic(topic.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[topic]) for topic in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert topics(broker) == {topic.name for topic in both}
    assert not DynamicTopic.objects.filter(created_at=None).exists()


def test_the_coordinator_finds_the_task_by_its_name() -> None:
    assert "ingestion.create_topic" in current_app.tasks
