"""A database that goes away and comes back, with a server of our own to kill."""

from __future__ import annotations

import pytest
from django.db import transaction

from actor_runtime.errors import Fenced
from actor_runtime.models import TransitionLog
from consumers.models import FixedTopicConsumer
from tests.support.actor_runtime.work import Hands, Scripted, logged, loop_of, nothing, one_batch, owned, to_writing
from tests.support.postgres import Server

pytestmark = pytest.mark.django_db(transaction=True)


def steps_until(loop: object, hands: Hands, seconds: float) -> None:
    """Let the loop do what it wants for a span of mocked time."""
    end = hands.seconds + seconds
    while hands.seconds < end:
        hands.seconds += max(0.01, loop.step())  # type: ignore[attr-defined]


def test_a_failure_during_an_outage_is_kept_and_fired_on_return_with_its_own_time(server: Server) -> None:
    def cut_off(session: object) -> None:
        to_writing(session)  # type: ignore[arg-type]
        server.stop()
        session.actor.write_success()  # type: ignore[attr-defined]
        session.save()  # type: ignore[attr-defined]

    hands = Hands()
    hands.seconds = 1000
    work = Scripted(cut_off, one_batch)
    loop = loop_of(work, hands)
    loop.step()
    failed_at = hands.clock.now()
    steps_until(loop, hands, 60)
    assert work.turns == 1
    server.start()
    steps_until(loop, hands, 6)
    row = FixedTopicConsumer.objects.get()
    assert (row.state, row.epoch, work.turns >= 2, work.opened) == ("idle", 1, True, 2)
    failure = TransitionLog.objects.get(event="UPDATE_CACHE_FAILURE")
    assert failure.first_at == failed_at
    assert TransitionLog.objects.get(event="RESET").by == "automatic, the database is back"
    assert TransitionLog.objects.filter(event="UPDATE_CACHE_SUCCESS").exists()


def test_a_server_that_dies_inside_the_data_transaction_is_a_write_failure(server: Server) -> None:
    def cut_off(session: object) -> None:
        to_writing(session)  # type: ignore[arg-type]
        with transaction.atomic():
            session.actor.write_success()  # type: ignore[attr-defined]
            session.save()  # type: ignore[attr-defined]
            server.stop()

    hands = Hands()
    work = Scripted(cut_off, one_batch)
    loop = loop_of(work, hands)
    loop.step()
    server.start()
    steps_until(loop, hands, 6)
    assert FixedTopicConsumer.objects.get().state == "idle"
    failure = TransitionLog.objects.get(source="writing_to_db", target="error")
    assert failure.event == "WRITE_FAILURE"
    assert TransitionLog.objects.get(event="WRITE_SUCCESS").count == 1  # of the batch after the outage


def test_an_outage_while_idle_is_waited_out_and_the_owner_goes_on(server: Server) -> None:
    hands = Hands()
    work = Scripted(one_batch, nothing, one_batch)
    loop = loop_of(work, hands)
    loop.step()
    server.stop()
    hands.seconds += 3.1
    loop.step()
    turns = work.turns
    steps_until(loop, hands, 30)
    assert work.turns == turns
    server.start()
    steps_until(loop, hands, 6)
    row = FixedTopicConsumer.objects.get()
    assert (row.state, row.epoch, row.waiting_for) == ("idle", 1, None)
    assert work.turns > turns
    assert ("RESET",) not in logged("event")


def test_an_owner_replaced_during_its_outage_never_writes_again(server: Server) -> None:
    hands = Hands()
    loop = loop_of(Scripted(to_writing, nothing), hands, owned())
    loop.step()
    server.stop()
    hands.seconds += 3.1
    loop.step()
    server.start()
    FixedTopicConsumer.objects.update(epoch=2, owner="other:1:1")
    theirs = FixedTopicConsumer.objects.values().get()
    with pytest.raises(Fenced):
        steps_until(loop, hands, 10)
    assert FixedTopicConsumer.objects.values().get() == theirs
