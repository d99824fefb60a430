"""The end of a topic, at any step, and live topics that are lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from coordination.models import Coordinator
from datastore.coverage import feed_progress
from datastore.models import DynamicTopic, Stream
from datastore.streams import lifecycle
from tests.support.coordination.topic_actors import (
    ACTIVE,
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
    long_ago,
    newest,
    state_of,
    stream,
)
from tests.support.streaming.memory import MemoryBroker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def test_a_deleted_stream_s_topic_ends_in_order(coordinator: Coordinating) -> None:
    made = stream()
    topic = coordinator.bring_live()
    lifecycle.end(made.pk, by="key a")
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
    lifecycle.end(first.pk, by="key a")
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
    topic = coordinator.bring_live()
    feed_progress.note_acknowledged(f"{topic.name}/one", datetime.now(UTC), markets=[made.market.symbol])
    lifecycle.end(made.pk, by="key a")
    coordinator.steps(2)
    assert newest().state == "retiring"
    assert feed_progress.acknowledged_until(made.market) is not None
    long_ago("retiring_at")
    coordinator.steps()
    assert (newest().state, admin().topics()) == ("retired", set())
    # What nobody read is a gap now, and no longer on its way.
    assert (
        feed_progress.acknowledged_until(made.market) is None
    )  # what nobody read is a hole now, and no longer on its way


def test_a_topic_that_is_gone_at_the_broker_is_deleted_all_the_same(
    coordinator: Coordinating, broker: MemoryBroker
) -> None:
    made = stream()
    coordinator.bring_live()
    broker.lose_everything()
    lifecycle.end(made.pk, by="key a")
    coordinator.steps(2)
    end_parts()
    coordinator.steps()
    assert newest().state == "retired"


def test_a_broker_that_is_away_is_waited_for_in_the_state_at_hand(
    coordinator: Coordinating, broker: MemoryBroker
) -> None:
    made = stream()
    first = coordinator.bring_live()
    lifecycle.end(made.pk, by="key a")
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
    lifecycle.end(made.pk, by="key a")
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
    lifecycle.end(stream().pk, by="key a")
    assert coordinator.steps(2) == ACTIVE
    assert not DynamicTopic.objects.exists()


def test_a_stream_deleted_between_two_tries_is_not_tried_again(coordinator: Coordinating) -> None:
    made = stream()
    coordinator.reach(PROCESSING)
    DynamicTopic.objects.update(create_error="refused")
    coordinator.steps()
    lifecycle.end(made.pk, by="key a")
    assert coordinator.steps(3, later=5) == ACTIVE
    assert (newest().state, DynamicTopic.objects.count(), state_of(made)) == ("retired", 1, "ended")


def test_a_market_asked_for_again_while_its_topic_retires_gets_another_one(coordinator: Coordinating) -> None:
    made = stream()
    first = coordinator.bring_live()
    lifecycle.end(made.pk, by="key a")
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
