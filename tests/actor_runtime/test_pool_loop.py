from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Event
from typing import Any

import pytest
from django.db import OperationalError

from actor_runtime.loop import pool_loop
from actor_runtime.loop.actor_group import ActorGroup
from actor_runtime.loop.pool_loop import ActorPool
from actor_runtime.loop.runner import run_many
from actor_runtime.models import Actor, TransitionLog
from consumers.models import DynamicTopicConsumer
from tests.support.actor_runtime.work import Hands

pytestmark = pytest.mark.django_db(transaction=True)
Step = Callable[[ActorGroup], None]


class Together:
    """Brings its actors to Consuming, then each turn runs the next step of the script."""

    model: type[Actor] = DynamicTopicConsumer
    role = "together"
    pause = 0.25

    def __init__(self, *script: Step, names: Collection[str] = ("dyn-1", "dyn-2")) -> None:
        self.names = set(names)
        self.script = list(script)
        self.closed = self.beats = 0
        self.news = True

    def has_news(self) -> bool:
        return self.news

    def actor_names(self) -> Collection[str]:
        return self.names

    def turn(self, actors: ActorGroup) -> bool:
        for member in actors:
            if member.state == "idle":
                member.actor.subscribe_to_topic()
                member.actor.subscribe_success()
        actors.save(list(actors))
        if not self.script:
            return False
        self.script.pop(0)(actors)
        return True

    def beat(self, actors: ActorGroup) -> None:
        self.beats += 1

    def close(self) -> None:
        self.closed += 1


def rows() -> Any:
    return DynamicTopicConsumer.objects.order_by("name")


def nothing(actors: ActorGroup) -> None:
    """Stay in the states at hand."""


def broken(exc: Exception) -> Step:
    def step(actors: ActorGroup) -> None:
        raise exc

    return step


def test_rows_are_made_where_they_are_missing_and_retired_where_nothing_is_left_to_do() -> None:
    hands = Hands()
    work = Together()
    ours = ActorPool(work, Event(), hands.clock, me="here:1:1")
    assert ours.step() == 0.25
    assert list(rows().values_list("name", "owner", "state", "epoch")) == [
        ("dyn-1", "here:1:1", "consuming", 1),
        ("dyn-2", "here:1:1", "consuming", 1),
    ]
    work.names = {"dyn-2", "dyn-3"}
    hands.seconds += 0.4
    ours.step()
    assert len(ours.actors) == 2 and "dyn-1" in ours.actors, "it looks every half second"
    hands.seconds += 0.2
    ours.step()
    assert {member.name for member in ours.actors} == {"dyn-2", "dyn-3"}
    assert rows().get(name="dyn-1").retired_at is not None


def test_the_loop_ends_with_the_turn_in_hand_and_all_rows_are_free() -> None:
    stop = Event()
    work = Together(lambda actors: stop.set())
    run_many(work, stop)
    assert set(rows().values_list("owner", "state")) == {("", "consuming")}
    assert work.closed == 1


def test_the_hearts_beat_every_three_seconds_and_the_work_beats_with_them() -> None:
    hands = Hands()
    work = Together()
    ours = ActorPool(work, Event(), hands.clock)
    ours.step()
    first = rows().first().heartbeat_at
    before = work.beats
    for seconds in (1.0, 2.9, 3.1, 4.0, 6.3):
        hands.seconds = seconds
        ours.step()
    assert work.beats == before + 2
    assert rows().first().heartbeat_at > first


def test_without_rows_or_news_no_rows_are_read() -> None:
    hands = Hands()
    work = Together(names=())
    ours = ActorPool(work, Event(), hands.clock)
    ours.step()
    work.names, work.news = {"dyn-1"}, False
    hands.seconds += 1
    ours.step()
    assert not rows()
    work.news = True
    hands.seconds += 1
    ours.step()
    work.names, work.news = {"dyn-1", "dyn-2"}, False
    hands.seconds += 1
    ours.step()
    assert rows().count() == 2, "where there are rows they are read, with or without news"


def test_what_a_turn_raises_makes_those_wait_whose_chart_has_no_arrow_and_is_tried_again() -> None:
    hands = Hands()
    work = Together(broken(ZeroDivisionError("nobody thought of it")), nothing)
    ours = ActorPool(work, Event(), hands.clock)
    ours.step()
    assert set(rows().values_list("state", "waiting_for")) == {("consuming", "ZeroDivisionError: nobody thought of it")}
    assert work.closed == 1
    hands.seconds += 1.01
    ours.step()
    assert not work.script


def test_what_a_turn_raises_takes_those_to_error_that_were_in_the_middle() -> None:
    def midway(actors: ActorGroup) -> None:
        member = actors.members_of(["dyn-1"])[0]
        member.actor.message_received()
        raise ZeroDivisionError

    ours = ActorPool(Together(midway), Event(), Hands().clock)
    ours.step()
    assert list(rows().values_list("state", flat=True)) == ["error", "consuming"]
    assert TransitionLog.objects.get(target="error").event == "PROCESS_FAILURE"


def test_a_database_that_is_away_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    hands = Hands()
    ours = ActorPool(Together(), Event(), hands.clock, me="here:1:1")
    with monkeypatch.context() as patched:
        patched.setattr(pool_loop, "active_rows", away)
        for _ in range(3):
            hands.seconds += ours.step()
    hands.seconds += 1
    ours.step()
    assert set(rows().values_list("owner", flat=True)) == {"here:1:1"}


def test_the_end_during_an_outage_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    work = Together()
    work.close = away  # type: ignore[method-assign]
    ours = ActorPool(work, Event(), Hands().clock)
    ours.step()
    monkeypatch.setattr("actor_runtime.journal.persistence.store_all", away)
    ours.end()
    assert "" not in rows().values_list("owner", flat=True)
