from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, transaction

from actor_runtime.errors import CacheFault, Fenced, LastingFault, NotInError, RequestFault
from actor_runtime.loop.session import ActorSession
from actor_runtime.manual_reset import reset
from actor_runtime.models import TransitionLog
from consumers.models import FixedTopicConsumer
from streaming.errors import GroupLost, StreamUnavailable
from tests.support.actor_runtime.work import (
    Hands,
    Scripted,
    failing,
    logged,
    loop_of,
    nothing,
    one_batch,
    owned,
    to_writing,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hands() -> Hands:
    return Hands()


def row() -> FixedTopicConsumer:
    return FixedTopicConsumer.objects.get()


def last_heartbeat() -> datetime:
    at = row().heartbeat_at
    assert at is not None
    return at


def time_until_reset(hands: Hands) -> timedelta:
    at = row().reset_at
    assert at is not None
    return at - hands.clock.now()


def test_turns_follow_each_other_while_there_is_more_and_pause_when_there_is_not(hands: Hands) -> None:
    loop = loop_of(Scripted(one_batch, one_batch), hands)
    assert [loop.step(), loop.step()] == [0.0, 0.0]
    assert loop.step() > 0


def test_the_heart_beats_every_three_seconds_and_the_work_beats_with_it(hands: Hands) -> None:
    work = Scripted()
    loop = loop_of(work, hands)
    loop.step()
    first = last_heartbeat()
    for seconds in (1.0, 2.9, 3.1, 4.0, 6.3):
        hands.seconds = seconds
        loop.step()
    assert work.beats == 2
    assert last_heartbeat() > first


@pytest.mark.parametrize(
    ("begin", "event"),
    [
        (lambda session: session.actor.message_received(), "PROCESS_FAILURE"),
        (to_writing, "WRITE_FAILURE"),
        (lambda session: (to_writing(session), session.actor.write_success()), "UPDATE_CACHE_FAILURE"),
    ],
)
def test_what_a_turn_raises_takes_the_failure_arrow_of_the_state_at_hand(hands: Hands, begin, event) -> None:  # type: ignore[no-untyped-def]
    loop = loop_of(Scripted(failing(LastingFault("no such column"), begin)), hands)
    loop.step()
    assert (row().state, row().last_error, row().reset_at) == ("error", "LastingFault: no such column", None)
    assert logged("event", "reason")[-1] == (event, "LastingFault: no such column")


def test_passing_faults_are_reset_after_one_two_four_seconds_up_to_five_minutes(hands: Hands) -> None:
    work = Scripted(*[failing(StreamUnavailable())] * 11)
    loop = loop_of(work, hands)
    delays = []
    for _ in range(11):
        loop.step()
        delays.append(time_until_reset(hands).total_seconds())
        hands.seconds += delays[-1] - 0.01
        assert 0 < loop.step() <= 0.011
        assert row().state == "error"
        hands.seconds += 0.02
        loop.step()
        assert row().state == "idle"
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert work.opened == 11


def test_a_good_batch_ends_the_row_of_errors(hands: Hands) -> None:
    loop = loop_of(Scripted(failing(StreamUnavailable()), failing(StreamUnavailable()), one_batch), hands)
    loop.step()
    for _ in range(3):
        hands.seconds += 3
        loop.step()
        loop.step()
    assert (row().state, row().error_count) == ("idle", 0)


def test_a_cache_fault_is_always_reset_after_one_second(hands: Hands) -> None:
    loop = loop_of(Scripted(*[failing(CacheFault())] * 3), hands)
    for _ in range(3):
        loop.step()
        assert time_until_reset(hands) == timedelta(seconds=1)
        hands.seconds += 1.01
        loop.step()
    assert logged("by")[-1] == ("automatic after 1 s",)


def test_a_fault_of_the_request_is_reset_at_once_and_says_so(hands: Hands) -> None:
    loop = loop_of(Scripted(failing(RequestFault("older than the provider keeps"))), hands)
    loop.step()
    loop.step()
    assert row().state == "idle"
    assert logged("event", "by")[-1] == ("RESET", "request fault")


def test_an_error_that_the_turn_itself_fires_does_not_name_the_resetter_of_the_one_before(hands: Hands) -> None:
    def fails(session: ActorSession) -> None:
        to_writing(session)
        session.actor.write_failure(reason="nobody answered")
        session.actor.reset_at = hands.clock.now()
        session.save()

    loop = loop_of(Scripted(failing(RequestFault()), fails), hands)
    for _ in range(4):
        loop.step()
    assert [by for event, by in logged("event", "by") if event == "RESET"] == ["request fault", "automatic"]


def test_a_lost_group_is_an_error_that_resets_itself_and_opens_anew(hands: Hands) -> None:
    work = Scripted(failing(GroupLost()), one_batch)
    loop = loop_of(work, hands)
    loop.step()
    assert row().state == "error"
    hands.seconds += 1.1
    loop.step()
    loop.step()
    assert (row().state, work.opened) == ("idle", 2)


def test_trouble_in_idle_is_waiting_not_an_error(hands: Hands) -> None:
    work = Scripted(failing(StreamUnavailable("connection refused"), nothing), one_batch)
    loop = loop_of(work, hands)
    loop.step()
    assert (row().state, row().waiting_for) == ("idle", "StreamUnavailable: connection refused")
    hands.seconds += 0.9
    loop.step()
    assert work.turns == 1
    hands.seconds += 0.2
    loop.step()
    assert (row().waiting_for, work.turns, work.opened) == (None, 2, 2)


def test_waiting_grows_longer_but_the_heart_beats_on(hands: Hands) -> None:
    work = Scripted(*[failing(StreamUnavailable(), nothing)] * 20)
    loop = loop_of(work, hands)
    loop.step()
    tried = []
    while hands.seconds < 100:
        before = work.turns
        hands.seconds += max(0.01, loop.step())
        tried += [round(hands.seconds)] * (work.turns - before)
    assert len(tried) == 7  # after 1, 2, 4, 8, 16, 30, 30 s
    assert row().heartbeat_at is not None


def test_a_lasting_fault_waits_for_a_person_and_the_owner_opens_again_after_the_reset(hands: Hands) -> None:
    work = Scripted(failing(LastingFault("key refused")), one_batch)
    loop = loop_of(work, hands)
    loop.step()
    hands.seconds += 10_000
    assert loop.step() == 1.0
    reset(FixedTopicConsumer, "fixed-tick-1", by="ada")
    loop.step()
    loop.step()
    assert (row().state, work.opened, work.turns) == ("idle", 2, 2)
    assert ("RESET", "ada") in logged("event", "by")


def test_a_reset_during_work_is_refused_and_disturbs_nothing(hands: Hands) -> None:
    def reset_meanwhile(session: ActorSession) -> None:
        to_writing(session)
        with pytest.raises(NotInError, match="not in Error but in Writing to DB"):
            reset(FixedTopicConsumer, "fixed-tick-1", by="ada")
        session.actor.write_success()
        session.actor.update_cache_success()
        session.save()

    loop_of(Scripted(reset_meanwhile), hands).step()
    assert row().state == "idle"
    assert not TransitionLog.objects.filter(event="RESET").exists()


def test_a_fenced_owner_stops_at_once_and_touches_nothing(hands: Hands) -> None:
    def overtaken(session: ActorSession) -> None:
        to_writing(session)
        FixedTopicConsumer.objects.update(epoch=9, owner="other:2:2")
        before = FixedTopicConsumer.objects.values().get()
        session.actor.write_success()
        try:
            session.save()
        finally:
            assert FixedTopicConsumer.objects.values().get() == before

    loop = loop_of(Scripted(overtaken), hands)
    with pytest.raises(Fenced):
        loop.step()
    assert row().state == "writing_to_db"
    assert not TransitionLog.objects.filter(event="WRITE_SUCCESS").exists()


def test_a_fenced_data_transaction_leaves_no_data(hands: Hands) -> None:
    def overtaken(session: ActorSession) -> None:
        to_writing(session)
        with transaction.atomic():
            TransitionLog.objects.filter(event="PROCESS_SUCCESS").delete()  # stands for the data
            FixedTopicConsumer.objects.update(epoch=9)
            session.actor.write_success()
            session.save()

    loop = loop_of(Scripted(overtaken), hands)
    with pytest.raises(Fenced):
        loop.step()
    assert TransitionLog.objects.filter(event="PROCESS_SUCCESS").exists()


def test_a_failed_data_transaction_takes_back_what_was_fired_in_it(hands: Hands) -> None:
    def broken_commit(session: ActorSession) -> None:
        to_writing(session)
        with transaction.atomic():
            session.actor.write_success()
            session.save()
            raise OperationalError("server closed the connection unexpectedly")

    loop = loop_of(Scripted(broken_commit, one_batch), hands)
    loop.step()
    events = [event for (event,) in logged("event")]
    assert events == ["MESSAGE_RECEIVED", "PROCESS_SUCCESS", "WRITE_FAILURE"]


def test_a_committed_data_transaction_is_logged_once(hands: Hands) -> None:
    def batch(session: ActorSession) -> None:
        to_writing(session)
        with transaction.atomic():
            session.actor.write_success()
            session.save()
        session.actor.update_cache_success()
        session.save()

    loop = loop_of(Scripted(batch, batch), hands)
    loop.step()
    loop.step()
    written = TransitionLog.objects.filter(event="WRITE_SUCCESS").values_list("count", flat=True)
    assert sum(written) == 2


def test_an_open_that_fails_is_tried_again_later(hands: Hands) -> None:
    work = Scripted(one_batch)
    inner, calls = work.open, []

    def opening(session: ActorSession) -> None:
        calls.append(hands.seconds)
        if len(calls) == 1:
            raise StreamUnavailable("connection refused")
        inner(session)

    work.open = opening  # type: ignore[method-assign]
    loop = loop_of(work, hands)
    loop.step()
    assert row().waiting_for
    hands.seconds += 1.01
    loop.step()
    assert (len(calls), work.turns, row().waiting_for) == (2, 1, None)


def test_the_end_closes_the_work_and_frees_the_row(hands: Hands) -> None:
    work = Scripted(lambda session: session.actor.message_received())
    loop = loop_of(work, hands)
    loop.step()
    loop.end()
    assert (row().owner, row().state, work.closed) == ("", "processing_message", 1)
    assert owned("next:1:1").name == "fixed-tick-1"


@pytest.mark.parametrize("hours", [-26, -1, 1, 26])
def test_a_clock_that_is_set_neither_delays_a_reset_nor_hastens_it(hands: Hands, hours: int) -> None:
    loop = loop_of(Scripted(*[failing(StreamUnavailable())] * 3), hands)
    for _ in range(3):
        loop.step()
        loop.step()
        delay = time_until_reset(hands).total_seconds()
        hands.start += timedelta(hours=hours)
        hands.seconds += delay - 0.01
        loop.step()
        assert row().state == "error"
        hands.seconds += 0.02
        loop.step()
        assert row().state == "idle"


def test_the_reset_time_of_a_clock_far_ahead_is_waited_for_five_minutes_at_most(hands: Hands) -> None:
    loop = loop_of(Scripted(failing(StreamUnavailable())), hands)
    loop.step()
    hands.start -= timedelta(hours=26)  # before it is looked at, as by the next process
    loop.step()
    hands.seconds += 300.01
    loop.step()
    assert row().state == "idle"
