"""Attempts that fail: each ends with a reason that names who, with what it left taken back, and with another try."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from actor_runtime.models import TransitionLog
from consumers.models import DynamicTopicConsumer
from coordination.models import Coordinator
from datastore.models import DynamicTopic, FetchRequest, Stream
from datastore.reference.markets import feed_markets
from ingestion.models import Producer
from tests.support.coordination.fetch_requests import request, unreachable
from tests.support.coordination.topic_actors import (
    ACTIVE,
    ERROR,
    ETH,
    NOTIFYING,
    PROCESSING,
    Coordinating,
    acknowledge,
    admin,
    due_now,
    end_parts,
    events,
    long_ago,
    newest,
    state_of,
    stream,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def failed(coordinator: Coordinating, made: Stream, *words: str) -> None:
    """Check that an attempt has failed, with a reason and with all that it left being ended."""
    assert coordinator.state == ERROR
    found, topic, actor = Stream.objects.get(pk=made.pk), newest(), Coordinator.objects.get()
    assert (found.state, found.attempts, topic.state) == ("requested", 1, "retiring")
    assert found.next_try is not None and topic.retiring_at is not None
    for word in words:
        assert word in str(found.error)
    assert found.error == topic.error == actor.last_error
    assert actor.waiting_for is None and actor.reset_at is not None
    assert not feed_markets().exists()


def and_the_next_one_is_good(coordinator: Coordinating, made: Stream) -> None:
    """Check that the Coordinator resets itself, and that the next topic has another name."""
    first = newest()
    due_now()
    assert coordinator.steps(later=1.1) == ACTIVE
    topic = coordinator.bring_live()
    assert topic.name != first.name
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts, found.error, found.topic_id) == ("live", 0, None, topic.pk)
    end_parts()
    coordinator.steps(2)
    assert DynamicTopic.objects.get(pk=first.pk).state == "retired"
    assert admin().topics() == {topic.name}


def test_a_broker_that_does_not_create_is_named_and_tried_again(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.reach(PROCESSING)
    DynamicTopic.objects.update(create_error="StreamUnavailable: no answer", creator="producer-topic-1")
    coordinator.steps()
    failed(
        coordinator, made, "producer-topic-1 could not create dyn-coinbase-BTC-USD-g", "StreamUnavailable: no answer"
    )
    assert events() == ["REQUEST_CREATE_TOPIC", "CREATE_TOPIC_FAILURE"]
    and_the_next_one_is_good(coordinator, made)


def test_a_topic_that_no_producer_takes_up_is_given_up_in_time(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.reach(PROCESSING)
    long_ago("requested_at")
    coordinator.steps()
    failed(coordinator, made, "no Producer took dyn-coinbase-BTC-USD-g", "within 10 s", "does the worker run?")
    long_ago("retiring_at")
    and_the_next_one_is_good(coordinator, made)


def test_a_producer_in_error_is_quoted(coordinator: Coordinating) -> None:
    stream()
    Producer.objects.create(
        role="producer-topic", name="producer-topic-1", owner="here:1:1", heartbeat_at=Now(), last_error="disk full"
    )
    coordinator.reach(PROCESSING)
    long_ago("requested_at")
    coordinator.steps()
    assert "producer-topic-1 is in Idle (last error: disk full)" in str(newest().error)


def test_a_consumer_that_never_subscribes_is_named_with_what_its_row_says(coordinator: Coordinating) -> None:
    made = stream()
    topic = coordinator.reach(NOTIFYING)
    silent = {"owner": "elsewhere:1:1", "heartbeat_at": Now() - timedelta(seconds=40), "waiting_for": "the broker"}
    DynamicTopicConsumer.objects.create(name=topic.name, **silent)
    acknowledge(subscribed=False)
    long_ago("notified_at")
    coordinator.steps()
    row = f"{topic.name} is in Idle (its process gives no sign of life; waits for: the broker)"
    failed(coordinator, made, f"no consumer read {topic.name} within 15 s: {row}")
    assert "no Producer" not in str(newest().error)
    assert events()[-1] == "NOTIFY_FAILURE"
    and_the_next_one_is_good(coordinator, made)


def test_actors_without_any_row_are_both_named(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.reach(NOTIFYING)
    long_ago("notified_at")
    coordinator.steps()
    failed(coordinator, made, "does run_producer run?", "does run_dynamic_consumer run?")


@pytest.mark.parametrize("column", ["route_error", "subscribe_error"])
def test_an_actor_that_cannot_use_the_topic_is_believed_at_once(coordinator: Coordinating, column: str) -> None:
    made = stream()
    coordinator.reach(NOTIFYING)
    DynamicTopic.objects.update(**{column: "INVALID_SUB"})
    coordinator.steps()
    failed(coordinator, made, "INVALID_SUB")
    and_the_next_one_is_good(coordinator, made)


@pytest.mark.parametrize("word", [{"waiting_for": "the provider: HTTP 503"}, {"state": "error", "reset_at": Now()}])
def test_a_producer_that_waits_for_the_provider_costs_no_try(coordinator: Coordinating, word: dict[str, Any]) -> None:
    made = stream()
    Producer.objects.create(role="producer-live", name="producer-live-1", owner="here:1:1", heartbeat_at=Now(), **word)
    for _ in range(Stream.MAX_ATTEMPTS + 1):
        Producer.objects.update(heartbeat_at=Now())  # on a busy machine the rounds take longer than one lasts
        coordinator.reach(NOTIFYING)
        acknowledge(routed=False)
        long_ago("notified_at")
        assert coordinator.steps() == ERROR
        due_now()
        assert coordinator.steps(later=31) == ACTIVE
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts) == ("requested", 0)
    assert "no Producer published" in str(found.error)
    coordinator.bring_live()


@pytest.mark.parametrize(
    "word",
    [
        {"waiting_for": None},
        {"waiting_for": "the provider", "heartbeat_at": Now() - timedelta(seconds=40)},
        {"state": "error", "last_error": "LastingFault: HTTP 401"},
    ],
)
def test_one_that_does_not_say_so_or_is_dead_or_needs_a_person_does(
    coordinator: Coordinating, word: dict[str, Any]
) -> None:
    made = stream()
    named = {"role": "producer-live", "name": "producer-live-1"}
    Producer.objects.create(**named | {"owner": "here:1:1", "heartbeat_at": Now()} | word)
    coordinator.reach(NOTIFYING)
    acknowledge(routed=False)
    long_ago("notified_at")
    coordinator.steps()
    failed(coordinator, made, "producer-live-1")


def test_a_queue_that_is_away_fails_the_attempt_and_is_no_other_state_s_affair(
    coordinator: Coordinating, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stream()
    FetchRequest.objects.all().delete()
    coordinator.reach(NOTIFYING)
    request(made.market)
    with unreachable(monkeypatch):
        assert coordinator.steps() == NOTIFYING, "what was to be dispatched is not the topic's failure"
        assert "the worker's queue does not answer" in str(Coordinator.objects.get().waiting_for)
        acknowledge()
        assert coordinator.steps() == ACTIVE
        FetchRequest.objects.all().delete()
        second = stream(ETH)
        for _ in range(4):
            FetchRequest.objects.all().delete()
            assert coordinator.steps(later=40) == ERROR
            due_now()
            assert coordinator.steps(later=40) == ACTIVE
        found = Stream.objects.get(pk=second.pk)
        assert (found.state, found.attempts) == ("requested", 0), "nobody was asked to make it"
        assert "the worker's queue does not answer" in str(found.error)
    coordinator.bring_live()
    assert state_of(second) == "live"


def test_after_three_tries_the_stream_has_failed_and_the_others_go_on(coordinator: Coordinating) -> None:
    made = stream()
    for _ in range(3):
        coordinator.reach(PROCESSING)
        DynamicTopic.objects.filter(state="creating").update(create_error="refused")
        assert coordinator.steps() == ERROR
        due_now()
        coordinator.steps(later=20)
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts, found.ended_at is not None) == ("failed", 3, True)
    assert coordinator.steps(2) == ACTIVE
    assert not DynamicTopic.objects.exclude(state="retired").exists()
    other = stream(ETH)
    coordinator.bring_live()
    assert state_of(other) == "live"


def test_markets_that_are_refused_hold_up_no_other(coordinator: Coordinating) -> None:
    stream()
    for _ in range(2):
        coordinator.reach(NOTIFYING)
        DynamicTopic.objects.filter(state="notifying").update(route_error="INVALID_SUB")
        assert coordinator.steps() == ERROR
        due_now()
        assert coordinator.steps() == ACTIVE, "no time has passed"
    other = stream(ETH)
    Stream.objects.exclude(pk=other.pk).update(next_try=Now() + timedelta(hours=1))
    coordinator.bring_live()
    assert state_of(other) == "live"


def test_the_queue_is_held_for_half_a_minute_at_most(coordinator: Coordinating) -> None:
    stream()
    coordinator.reach(PROCESSING)
    coordinator.loop.session.actor.error_count = 40
    DynamicTopic.objects.update(create_error="StreamUnavailable: no answer")
    assert coordinator.steps() == ERROR
    due_now()
    assert coordinator.steps(later=29) == ERROR
    assert coordinator.steps(later=1) == ACTIVE


def test_errors_in_a_row_are_waited_out_longer_and_a_success_ends_the_row(coordinator: Coordinating) -> None:
    stream()
    waits = []
    for attempt in range(2):
        coordinator.reach(PROCESSING)
        DynamicTopic.objects.filter(state="creating").update(create_error="refused")
        coordinator.steps()
        reset_at = Coordinator.objects.get().reset_at
        assert reset_at is not None
        waits.append((reset_at - coordinator.hands.clock.now()).total_seconds())
        due_now()
        assert coordinator.steps(later=waits[attempt] - 0.1) == ERROR
        assert coordinator.steps(later=0.2) == ACTIVE
    assert waits == [1, 2]
    resets = TransitionLog.objects.filter(event="RESET").values_list("by", flat=True)
    assert set(resets) == {"automatic"}
    coordinator.bring_live()
    assert Coordinator.objects.get().error_count == 0
