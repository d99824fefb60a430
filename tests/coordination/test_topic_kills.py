"""A Coordinator killed in any of its states: the next one goes on, and nothing is left half done."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from actor_runtime.errors import Fenced
from actor_runtime.manual_reset import reset
from actor_runtime.models import TransitionLog
from coordination.models import Coordinator
from datastore.models import DynamicTopic, FetchRequest, Stream
from datastore.streams import lifecycle
from tests.coordination.test_dispatch import request
from tests.support.coordination.topic_actors import (
    ACTIVE,
    ERROR,
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


def successor() -> Coordinating:
    """The next process, after the owner has given no sign of life for a while."""
    Coordinator.objects.update(heartbeat_at=Now() - timedelta(seconds=11))
    return Coordinating("there:2:2")


def killed_in(state: str) -> Stream:
    made = stream()
    Coordinating().reach(state)
    return made


def test_killed_in_active_the_queue_is_the_next_one_s() -> None:
    Coordinating()
    made = stream()
    successor().bring_live()
    assert state_of(made) == "live" and events()[0] == "TAKEOVER"


def test_killed_while_the_topic_is_created_it_is_taken_up_and_told_again() -> None:
    made = killed_in(PROCESSING)
    topic = in_hand()
    after = successor()
    assert (after.state, after.steps()) == (ACTIVE, PROCESSING)
    assert Counter(events()) == Counter(
        ["REQUEST_CREATE_TOPIC", "TAKEOVER", "CREATE_TOPIC_FAILURE", "RESET", "REQUEST_CREATE_TOPIC"]
    )
    assert told("ingestion.create_topic") == [[topic.pk], [topic.pk]]
    create()
    assert after.steps() == NOTIFYING
    acknowledge()
    assert after.steps() == ACTIVE
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts, DynamicTopic.objects.count()) == ("live", 0, 1)


def test_a_topic_that_was_created_meanwhile_is_not_created_again() -> None:
    made = killed_in(PROCESSING)
    topic = in_hand()
    create()
    after = successor()
    assert after.steps(2) == NOTIFYING
    assert told("ingestion.create_topic") == [[topic.pk]]
    acknowledge()
    after.steps()
    assert state_of(made) == "live"


def test_one_that_nobody_created_for_too_long_has_failed_with_all_that_it_left_ended() -> None:
    made = killed_in(PROCESSING)
    long_ago("requested_at")
    after = successor()
    assert after.steps(2) == ERROR
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts, newest().state) == ("requested", 1, "retiring")
    assert "no Producer took" in str(found.error)


def test_killed_while_the_actors_are_told_it_is_taken_up_where_it_stands() -> None:
    made = killed_in(NOTIFYING)
    topic = in_hand()
    acknowledge(subscribed=False)
    after = successor()
    assert after.steps() == NOTIFYING
    walk = ["REQUEST_CREATE_TOPIC", "CREATE_TOPIC_SUCCESS"]
    assert Counter(events()) == Counter([*walk, "TAKEOVER", "NOTIFY_FAILURE", "RESET", *walk])
    acknowledge()
    assert after.steps() == ACTIVE
    assert (state_of(made), newest().pk, newest().state) == ("live", topic.pk, "live")


def test_what_was_acknowledged_while_nobody_coordinated_counts_however_late_it_is_seen() -> None:
    made = killed_in(NOTIFYING)
    acknowledge()
    long_ago("requested_at", "notified_at")
    assert successor().steps(2) == ACTIVE
    assert state_of(made) == "live"


def test_what_nobody_acknowledged_meanwhile_has_failed_and_names_who() -> None:
    made = killed_in(NOTIFYING)
    acknowledge(routed=False)
    long_ago("notified_at")
    after = successor()
    assert after.steps(2) == ERROR
    assert "no Producer published" in str(Stream.objects.get(pk=made.pk).error)
    due_now()
    after.steps(later=3)
    after.bring_live()
    assert state_of(made) == "live"


def test_killed_in_error_the_next_one_keeps_the_time_of_its_reset_and_goes_on_with_all_else() -> None:
    made = stream()
    before = Coordinating()
    before.reach(PROCESSING)
    DynamicTopic.objects.update(create_error="refused")
    assert before.steps() == ERROR
    FetchRequest.objects.all().delete()
    after = successor()
    pk = request(made.market)
    assert after.steps() == ERROR
    assert told("ingestion.fetch")[-1] == [pk], "it dispatches although it has never had a turn"
    assert newest().state == "retired", "and it ends what failed"
    due_now()
    assert after.steps(later=5) == ACTIVE
    after.bring_live()
    assert state_of(made) == "live"


def test_an_error_of_which_nobody_knows_why_gives_the_topic_up_too() -> None:
    made = killed_in(NOTIFYING)
    with Coordinator.locked("coordinator-1") as actor:
        actor.notify_failure(reason="KeyError: a bug")
    after = successor()
    assert after.steps() == ERROR
    found = Stream.objects.get(pk=made.pk)
    assert (found.state, found.attempts, newest().state) == ("requested", 1, "retiring")
    assert found.error == "the Coordinator is in Error: KeyError: a bug"
    due_now()
    reset(Coordinator, "coordinator-1", by="ada")
    assert after.steps() == ACTIVE
    after.bring_live()
    assert state_of(made) == "live"


def test_killed_while_a_topic_retires_the_next_one_deletes_it() -> None:
    made = stream()
    before = Coordinating()
    before.bring_live()
    lifecycle.end(made.pk, by="key a")
    before.steps(2)
    after = successor()
    end_parts()
    after.steps()
    assert (newest().state, admin().topics()) == ("retired", set())


@pytest.mark.parametrize("state", [ACTIVE, PROCESSING, NOTIFYING])
def test_one_that_was_taken_over_changes_nothing_any_more(state: str) -> None:
    old = Coordinating()
    stream()
    if state != ACTIVE:
        old.reach(state)
    if state == PROCESSING:
        DynamicTopic.objects.update(created_at=Now())
    acknowledge()
    Coordinator.objects.update(epoch=F("epoch") + 1, owner="there:2:2")
    before = list(DynamicTopic.objects.values()), list(Stream.objects.values()), TransitionLog.objects.count()
    with pytest.raises(Fenced):
        old.loop.step()
    after = list(DynamicTopic.objects.values()), list(Stream.objects.values()), TransitionLog.objects.count()
    assert after == before


def test_a_topic_whose_row_is_gone_ends_the_walk() -> None:
    stream()
    coordinator = Coordinating()
    coordinator.reach(PROCESSING)
    DynamicTopic.objects.all().delete()
    assert coordinator.steps() == ERROR
    assert Coordinator.objects.get().last_error == "the topic's row is gone"
    assert coordinator.steps(2, later=1.1) == PROCESSING, "the stream is tried again"
