"""Topics on request, from the first stream to the last: the other actors are rows that the test writes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from coordination.models import Coordinator
from datastore.models import DynamicTopic, FetchRequest, Stream
from metering.table import TOPIC_FAILURES, TOPIC_SECONDS
from tests.support.coordination.fetch_requests import request
from tests.support.coordination.topic_actors import (
    ACTIVE,
    BTC,
    ERROR,
    ETH,
    NOTIFYING,
    PROCESSING,
    Coordinating,
    acknowledge,
    create,
    events,
    in_hand,
    long_ago,
    newest,
    state_of,
    stream,
    told,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def test_a_stream_walks_the_chart_and_is_live(coordinator: Coordinating) -> None:
    made = stream()
    assert coordinator.steps() == PROCESSING
    topic = in_hand()
    assert (topic.state, topic.name) == ("creating", f"dyn-coinbase-BTC-USD-g{topic.pk}")
    assert told("ingestion.create_topic") == [[topic.pk]]
    assert coordinator.steps(3) == PROCESSING
    assert Coordinator.objects.get().waiting_for == f"a Producer to create {topic.name}"
    create()
    assert coordinator.steps() == NOTIFYING
    assert in_hand().notified_at is not None
    acknowledge(subscribed=False)
    assert coordinator.steps(2) == NOTIFYING
    assert state_of(made) == "requested"
    acknowledge()
    assert coordinator.steps() == ACTIVE
    assert (state_of(made), newest().state) == ("live", "live")
    assert Stream.objects.get().live_at is not None and newest().live_at is not None
    assert events() == ["REQUEST_CREATE_TOPIC", "CREATE_TOPIC_SUCCESS", "NOTIFY_SUCCESS"]
    assert Coordinator.objects.get().waiting_for is None
    assert told("ingestion.create_topic") == [[topic.pk]]


def test_a_second_timeframe_joins_the_topic_without_a_new_one(coordinator: Coordinating) -> None:
    stream()
    topic = coordinator.bring_live()
    second = stream(timeframe="1h")
    assert coordinator.steps() == ACTIVE
    found = Stream.objects.get(pk=second.pk)
    assert (found.state, found.topic_id, DynamicTopic.objects.count()) == ("live", topic.pk, 1)
    assert events().count("REQUEST_CREATE_TOPIC") == 1


def test_one_that_comes_while_the_topic_is_made_joins_it_too(coordinator: Coordinating) -> None:
    first = stream()
    coordinator.reach(NOTIFYING)
    second = stream(timeframe="5m")
    coordinator.steps()
    acknowledge()
    coordinator.steps()
    assert (state_of(first), state_of(second), DynamicTopic.objects.count()) == ("live", "live", 1)


def test_topics_are_made_one_at_a_time_the_oldest_stream_first(coordinator: Coordinating) -> None:
    first, second = stream(ETH), stream(BTC)
    coordinator.bring_live()
    assert (state_of(first), state_of(second)) == ("live", "requested")
    coordinator.bring_live()
    assert state_of(second) == "live"


def test_history_is_dispatched_in_every_state(coordinator: Coordinating) -> None:
    market = stream().market
    FetchRequest.objects.all().delete()
    for state in (PROCESSING, NOTIFYING, ERROR):
        pk = request(market)
        assert coordinator.steps() == state
        assert told("ingestion.fetch")[-1] == [pk]
        FetchRequest.objects.filter(pk=pk).update(state="done")
        if state == PROCESSING:
            create()
        else:
            long_ago("notified_at")
    pk = request(market)
    coordinator.steps()
    assert (coordinator.state, told("ingestion.fetch")[-1]) == (ERROR, [pk])


def test_a_topic_s_way_is_timed_and_its_failures_are_counted_by_kind(coordinator: Coordinating) -> None:
    def counted() -> list[float]:
        steps = [TOPIC_SECONDS.labels(step)._sum.get() for step in ("created", "live")]
        return [*steps, TOPIC_FAILURES.labels("not_routed")._value.get()]

    before = counted()
    stream()
    coordinator.reach(NOTIFYING)
    DynamicTopic.objects.update(requested_at=Now() - timedelta(seconds=40))
    acknowledge()
    coordinator.steps()
    stream(ETH)
    coordinator.reach(NOTIFYING)
    long_ago("notified_at")
    coordinator.steps()
    created, live, failures = (after - was for after, was in zip(counted(), before, strict=True))
    assert 0 <= created < 40 <= live < 100 and failures == 1
