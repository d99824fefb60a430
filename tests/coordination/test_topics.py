"""Topics on request, from the first stream to the last: the other actors are rows that the test writes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import Celery
from django.conf import settings as configured
from django.db.models.functions import Now

from actors.models import TransitionLog
from coordination.models import Coordinator
from datastore import streams
from datastore.markets import kept
from datastore.models import DynamicTopic, FetchRequest, Stream
from ingestion.models import Producer
from metering.table import TOPIC_FAILURES, TOPIC_SECONDS
from streaming.memory import MemoryBroker
from tests.coordination.test_fetches import request
from tests.coordination.topic_actors import (
    ACTIVE,
    BTC,
    ERROR,
    ETH,
    NOTIFYING,
    PROCESSING,
    Coordinating,
    acknowledge,
    admin,
    create,
    due_now,
    end_parts,
    events,
    in_hand,
    long_ago,
    newest,
    state_of,
    stream,
    told,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


@pytest.fixture
def coordinator() -> Coordinating:
    return Coordinating()


def the_queue_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    nowhere.conf.broker_transport_options = configured.CELERY_BROKER_TRANSPORT_OPTIONS
    monkeypatch.setattr("coordination.coordinator_actor.current_app", nowhere)


# --- the good way ---


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


# --- attempts that fail ---


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
    assert not kept().exists()


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
    Producer.objects.create(name="producer-topic-1", owner="here:1:1", heartbeat_at=Now(), last_error="disk full")
    coordinator.reach(PROCESSING)
    long_ago("requested_at")
    coordinator.steps()
    assert "producer-topic-1 is in Idle (last error: disk full)" in str(newest().error)


def test_a_consumer_that_never_subscribes_is_named_with_what_its_row_says(coordinator: Coordinating) -> None:
    from consumers.models import DynamicTopicConsumer

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


def test_a_queue_that_is_away_fails_the_attempt_and_is_no_other_state_s_affair(
    coordinator: Coordinating, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stream()
    FetchRequest.objects.all().delete()
    coordinator.reach(NOTIFYING)
    request(made.market)
    with monkeypatch.context() as patch:
        the_queue_is_away(patch)
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


# --- the end ---


def test_a_deleted_stream_s_topic_ends_in_order(coordinator: Coordinating) -> None:
    made = stream()
    topic = coordinator.bring_live()
    streams.end(made.pk, by="key a")
    assert coordinator.steps(2) == ACTIVE
    assert newest().state == "retiring" and newest().error is None
    DynamicTopic.objects.update(route_ended_at=Now())
    coordinator.steps(2)
    assert (newest().state, admin().topics()) == ("retiring", {topic.name})
    DynamicTopic.objects.update(drained_at=Now())
    coordinator.steps()
    assert (newest().state, admin().topics()) == ("retired", set())
    assert newest().retired_at is not None
    assert events()[-1] == "NOTIFY_SUCCESS", "retiring is no walk of the chart"


def test_a_topic_stays_as_long_as_one_stream_of_its_market_does(coordinator: Coordinating) -> None:
    first, second = stream(), stream(timeframe="1d")
    coordinator.bring_live()
    streams.end(first.pk, by="key a")
    coordinator.steps(2)
    assert newest().state == "live"
    Stream.objects.filter(pk=second.pk).update(lease_until=Now() - timedelta(seconds=1))
    coordinator.steps(3)
    assert (state_of(second), newest().state) == ("ended", "retiring")
    assert Stream.objects.get(pk=second.pk).ended_by == "its lease ran out"


def test_a_lease_runs_out_in_error_too(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.reach(PROCESSING)
    DynamicTopic.objects.update(create_error="refused")
    assert coordinator.steps() == ERROR
    Stream.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert coordinator.steps() == ERROR
    assert state_of(made) == "ended"


def test_actors_that_never_answer_are_not_waited_for_for_ever(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.bring_live()
    streams.end(made.pk, by="key a")
    coordinator.steps(2)
    assert newest().state == "retiring"
    long_ago("retiring_at")
    coordinator.steps()
    assert (newest().state, admin().topics()) == ("retired", set())


def test_a_topic_that_is_gone_at_the_broker_is_deleted_all_the_same(
    coordinator: Coordinating, broker: MemoryBroker
) -> None:
    made = stream()
    coordinator.bring_live()
    broker.lose_everything()
    streams.end(made.pk, by="key a")
    coordinator.steps(2)
    end_parts()
    coordinator.steps()
    assert newest().state == "retired"


def test_a_broker_that_is_away_is_waited_for_in_the_state_at_hand(
    coordinator: Coordinating, broker: MemoryBroker
) -> None:
    made = stream()
    first = coordinator.bring_live()
    streams.end(made.pk, by="key a")
    coordinator.steps(2)
    end_parts()
    broker.go_away("unplugged")
    stream(ETH)
    assert coordinator.steps(2) == PROCESSING
    DynamicTopic.objects.filter(state="creating").update(created_at=Now())
    assert coordinator.steps() == NOTIFYING
    acknowledge()
    assert coordinator.steps() == ACTIVE
    coordinator.steps()
    assert "unplugged" in str(Coordinator.objects.get().waiting_for)
    broker.come_back()
    coordinator.steps()
    assert DynamicTopic.objects.get(pk=first.pk).state == "retiring", "it is asked again only after a while"
    assert coordinator.steps(2, later=60) == ACTIVE
    assert DynamicTopic.objects.get(pk=first.pk).state == "retired"
    assert Coordinator.objects.get().waiting_for is None


@pytest.mark.parametrize("state", [PROCESSING, NOTIFYING])
def test_a_stream_deleted_while_its_topic_is_made_leaves_nothing(coordinator: Coordinating, state: str) -> None:
    made = stream()
    coordinator.reach(state)
    streams.end(made.pk, by="key a")
    assert coordinator.steps() == state
    if state == PROCESSING:
        create()
        coordinator.steps()
    acknowledge()
    assert coordinator.steps(3) == ACTIVE
    assert (state_of(made), newest().state) == ("ended", "retiring")
    end_parts()
    coordinator.steps()
    assert (newest().state, admin().topics()) == ("retired", set())


def test_a_stream_deleted_before_its_turn_makes_no_topic(coordinator: Coordinating) -> None:
    streams.end(stream().pk, by="key a")
    assert coordinator.steps(2) == ACTIVE
    assert not DynamicTopic.objects.exists()


def test_a_stream_deleted_between_two_tries_is_not_tried_again(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.reach(PROCESSING)
    DynamicTopic.objects.update(create_error="refused")
    coordinator.steps()
    streams.end(made.pk, by="key a")
    assert coordinator.steps(3, later=5) == ACTIVE
    assert (newest().state, DynamicTopic.objects.count(), state_of(made)) == ("retired", 1, "ended")


def test_a_market_asked_for_again_while_its_topic_retires_gets_another_one(coordinator: Coordinating) -> None:
    made = stream()
    first = coordinator.bring_live()
    streams.end(made.pk, by="key a")
    coordinator.steps(2)
    again = stream()
    assert again.pk != made.pk
    second = coordinator.bring_live()
    assert second.name != first.name and state_of(again) == "live"
    assert DynamicTopic.objects.get(pk=first.pk).state == "retiring"


# --- a live topic that is lost ---


@pytest.mark.parametrize("lost", ["retiring", "deleted by hand"])
def test_a_stream_that_is_live_on_a_topic_that_is_not_gets_another(coordinator: Coordinating, lost: str) -> None:
    made = stream()
    first = coordinator.bring_live()
    if lost == "retiring":
        DynamicTopic.objects.update(state="retiring", retiring_at=Now())
    else:
        DynamicTopic.objects.all().delete()
    assert coordinator.steps() == ACTIVE
    second = coordinator.bring_live()
    assert second.pk != first.pk and state_of(made) == "live"


@pytest.mark.parametrize("column", ["route_error", "subscribe_error"])
def test_a_live_topic_that_is_lost_is_replaced(coordinator: Coordinating, broker: MemoryBroker, column: str) -> None:
    made = stream()
    first = coordinator.bring_live()
    broker.lose_everything()
    DynamicTopic.objects.update(**{column: "there is no such topic"})
    assert coordinator.steps() == ACTIVE
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts) == ("requested", 1)
    assert "there is no such topic" in str(found.error)
    due_now()
    second = coordinator.bring_live()
    assert second.name != first.name and state_of(made) == "live"
