from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from threading import Event

import pytest
from django.db import OperationalError

from actor_runtime.commands import ActorCommand, ProcessCommand
from actor_runtime.errors import Fenced
from actor_runtime.loop import runner as runner_module
from actor_runtime.loop.actor_loop import Work
from actor_runtime.loop.runner import Runner, run
from actor_runtime.loop.session import ActorSession
from actor_runtime.ownership import claims
from consumers.models import FixedTopicConsumer
from tests.support.actor_runtime.work import Hands, Scripted, loop_of, one_batch, owned

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
    gc.unfreeze()


def row() -> FixedTopicConsumer:
    return FixedTopicConsumer.objects.get()


def test_the_loop_ends_with_the_turn_in_hand_and_the_row_is_free() -> None:
    stop = Event()

    def last_batch(session: ActorSession) -> None:
        one_batch(session)
        session.stop.set()

    work = Scripted(one_batch, last_batch)
    run(work, stop)
    assert (work.turns, work.closed, row().owner, row().state) == (2, 1, "", "idle")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_stops_on_the_signals_of_terminal_and_supervisor(handlers: None, number: signal.Signals) -> None:
    scripted = Scripted(one_batch, lambda session: os.kill(os.getpid(), number))

    class Command(ActorCommand):
        def work(self, **options: object) -> Work:
            return scripted

    Command().handle()
    assert (scripted.closed, row().owner) == (1, "")


def test_no_collection_looks_at_what_a_process_has_loaded(handlers: None) -> None:
    counted = []

    class Command(ProcessCommand):
        def go(self, stop: Event, **options: object) -> None:
            counted.append((gc.get_freeze_count(), len(gc.get_objects())))

    Command().handle()
    ((left_out, looked_at),) = counted
    assert left_out > 10 * looked_at


def test_a_stop_before_any_row_was_found_ends_quietly() -> None:
    stop = Event()
    stop.set()
    run(Scripted(), stop)
    assert not FixedTopicConsumer.objects.exists()


def test_a_database_that_is_away_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    hands = Hands()
    seeker = Runner(Scripted(one_batch), Event(), hands.clock, me="here:1:1")
    with monkeypatch.context() as patched:
        patched.setattr(runner_module, "claim", away)
        assert [seeker.step() for _ in range(5)] == [1, 2, 4, 5, 5]
    seeker.step()
    seeker.step()
    assert row().owner == "here:1:1"


def test_an_owner_that_gives_a_sign_of_life_while_being_judged_keeps_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ActorSession(owned("elsewhere:1:1"), Event())
    FixedTopicConsumer.objects.update(heartbeat_at=None)
    seen = claims.rows_of(FixedTopicConsumer, "fixed-tick")
    session.beat()
    monkeypatch.setattr(claims, "rows_of", lambda *_: seen)
    assert claims.claim(FixedTopicConsumer, "fixed-tick", "here:2:2") is None
    assert row().owner == "elsewhere:1:1"


def test_of_two_that_make_the_same_row_one_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = claims.rows_of(FixedTopicConsumer, "fixed-tick")
    assert claims.add_row(FixedTopicConsumer, "fixed-tick", "quick:1:1") is not None
    monkeypatch.setattr(claims, "rows_of", lambda *_: seen)
    assert claims.add_row(FixedTopicConsumer, "fixed-tick", "slow:1:1") is None
    assert row().owner == "quick:1:1"


def test_a_work_that_cannot_close_does_not_keep_the_row() -> None:
    class Stuck(Scripted):
        def close(self) -> None:
            raise ConnectionError("already closed")

    loop = loop_of(Stuck(one_batch), Hands())
    loop.step()
    loop.end()
    assert row().owner == ""


def test_the_end_of_a_fenced_shift_leaves_the_row_to_its_owner() -> None:
    loop = loop_of(Scripted(one_batch), Hands())
    loop.step()
    FixedTopicConsumer.objects.update(epoch=5, owner="other:1:1")
    loop.end()
    assert row().owner == "other:1:1"


def test_the_end_during_an_outage_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    work = Scripted(one_batch)
    loop = loop_of(work, Hands())
    loop.step()
    monkeypatch.setattr("actor_runtime.journal.persistence.store", away)
    loop.end()
    assert work.closed == 1


def test_a_fenced_claim_does_not_end_the_loop() -> None:
    def overtaken(session: ActorSession) -> None:
        raise Fenced

    hands = Hands()
    work = Scripted(overtaken)
    runner = Runner(work, Event(), hands.clock)
    runner.step()
    assert runner.step() == 1.0
    assert work.closed == 1
