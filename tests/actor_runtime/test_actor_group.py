from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from actor_runtime.errors import CacheFault, LastingFault
from actor_runtime.loop.actor_group import ActorGroup
from actor_runtime.manual_reset import reset
from actor_runtime.models import TransitionLog
from consumers.models import DynamicTopicConsumer
from streaming.errors import StreamUnavailable
from tests.support.actor_runtime.work import Hands

pytestmark = pytest.mark.django_db(transaction=True)
ME = "here:1:1"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def crew(hands: Hands) -> ActorGroup:
    """Five actors in Consuming."""
    rows = [DynamicTopicConsumer(name=f"dyn-{number}", epoch=1, owner=ME) for number in range(5)]
    found = ActorGroup(DynamicTopicConsumer, ME, Event(), hands.clock)
    found.join(DynamicTopicConsumer.objects.bulk_create(rows))
    for member in found:
        member.actor.subscribe_to_topic()
        member.actor.subscribe_success()
    found.save(list(found))
    return found


def rows() -> Any:
    return DynamicTopicConsumer.objects.order_by("name")


def taken_over(name: str) -> None:
    rows().filter(name=name).update(epoch=2, owner="other:2:2", heartbeat_at=Now())


def to_writing(crew: ActorGroup) -> None:
    for member in crew:
        member.actor.message_received()
        member.actor.process_success()


def test_many_are_saved_and_beaten_by_one_statement_each(crew: ActorGroup, django_assert_num_queries: Any) -> None:
    to_writing(crew)
    with django_assert_num_queries(1):
        assert crew.save(list(crew)) == set()
    assert set(rows().values_list("state", flat=True)) == {"writing_to_db"}
    assert TransitionLog.objects.filter(event="PROCESS_SUCCESS").count() == 5
    before = rows().first().heartbeat_at
    with django_assert_num_queries(1):
        assert crew.beat() == set()
    assert rows().first().heartbeat_at > before


def test_one_that_was_taken_over_is_dropped_and_the_others_are_saved(crew: ActorGroup) -> None:
    taken_over("dyn-2")
    theirs = rows().filter(name="dyn-2").values().get()
    to_writing(crew)
    assert crew.save(list(crew)) == {"dyn-2"}
    assert "dyn-2" not in crew and len(crew) == 4
    assert rows().filter(name="dyn-2").values().get() == theirs
    assert not TransitionLog.objects.filter(name="dyn-2", event="MESSAGE_RECEIVED").exists()
    assert rows().filter(state="writing_to_db").count() == 4
    taken_over("dyn-3")
    assert crew.beat() == {"dyn-3"}
    taken_over("dyn-4")
    crew.compare(dict(rows().values_list("name", "epoch")))
    assert [member.name for member in crew] == ["dyn-0", "dyn-1"]


def test_what_a_failed_transaction_saved_is_taken_back_for_all(crew: ActorGroup) -> None:
    to_writing(crew)
    crew.save(list(crew))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        for member in crew:
            member.actor.write_success()
        crew.save(list(crew))
        raise ZeroDivisionError
    crew.undo(crew)
    assert {member.state for member in crew} == {"writing_to_db"}
    crew.save(list(crew))
    assert not TransitionLog.objects.filter(event="WRITE_SUCCESS").exists()


def test_each_fails_by_its_own_chart_and_comes_back_by_its_own_clock(crew: ActorGroup, hands: Hands) -> None:
    writing, waiting, *_ = crew
    writing.actor.message_received()
    writing.actor.process_success()
    crew.fail([writing, waiting], StreamUnavailable("connection refused"))
    assert (writing.state, waiting.state) == ("error", "consuming")
    row = rows().get(name=waiting.name)
    assert (row.state, row.waiting_for) == ("consuming", "StreamUnavailable: connection refused")
    assert rows().get(name=writing.name).reset_at == hands.clock.now() + timedelta(seconds=1)
    assert [crew.is_due(member) for member in crew] == [False, False, True, True, True]
    hands.seconds += 1.01
    crew.watch()
    assert [crew.is_due(member) for member in crew] == [True] * 5
    crew.resumed([waiting])
    assert rows().get(name=waiting.name).waiting_for is None
    assert (rows().get(name=writing.name).state, writing.actor.error_count) == ("idle", 1)


def test_the_wait_of_one_grows_while_that_of_another_does_not(crew: ActorGroup, hands: Hands) -> None:
    one, other, *_ = crew
    delays = []
    for _ in range(4):
        crew.fail([one], StreamUnavailable())
        delays.append(one.not_before - hands.seconds)
        hands.seconds = one.not_before
    crew.fail([other], StreamUnavailable())
    assert delays == [1, 2, 4, 8]
    assert other.not_before - hands.seconds == 1


def test_a_reset_by_hand_is_seen_and_one_by_itself_comes_when_it_is_due(crew: ActorGroup, hands: Hands) -> None:
    to_writing(crew)
    lasting, cached, *others = crew
    for member in others:
        member.actor.write_failure(reason="x")
    crew.save(others)
    crew.fail([lasting], LastingFault("no such column"))
    cached.actor.write_success()
    crew.fail([cached], CacheFault("away"))
    hands.seconds += 0.9
    crew.watch()
    assert {member.state for member in crew} == {"error"}
    reset(DynamicTopicConsumer, lasting.name, by="ada")
    hands.seconds += 0.2
    crew.watch()
    assert [member.state for member in crew] == ["idle", "idle", "error", "error", "error"]
    by = dict(TransitionLog.objects.filter(event="RESET").values_list("name", "by"))
    assert by == {lasting.name: "ada", cached.name: "automatic after 1 s"}


def test_one_that_is_taken_over_in_error_is_dropped(crew: ActorGroup) -> None:
    to_writing(crew)
    crew.fail(list(crew), LastingFault())
    taken_over("dyn-1")
    crew.watch()
    assert "dyn-1" not in crew and len(crew) == 4


def test_the_retired_are_free_and_at_rest_and_their_epoch_stands(crew: ActorGroup) -> None:
    one, other, third, *_ = crew
    other.actor.message_received()
    crew.fail([other], LastingFault("x"))
    taken_over(third.name)
    assert [member.name for member in crew.retire([one, other, third], "it is over")] == [one.name, other.name]
    assert len(crew) == 2
    found = rows().exclude(retired_at=None).values_list("name", "state", "owner", "epoch")
    assert list(found) == [(one.name, "consuming", "", 1), (other.name, "idle", "", 1)]
    assert TransitionLog.objects.get(event="RESET").by == "it is over"


def test_the_released_are_free_at_once(crew: ActorGroup) -> None:
    crew.release()
    assert set(rows().values_list("owner", "state")) == {("", "consuming")}
    assert len(crew) == 0
