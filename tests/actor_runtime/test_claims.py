from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from actor_runtime.errors import Fenced
from actor_runtime.loop.runner import Runner
from actor_runtime.loop.session import ActorSession
from actor_runtime.ownership.claims import add_row, claim, retire_surplus
from actor_runtime.ownership.process_identity import is_gone, this_process
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer
from tests.support.actor_runtime.work import GONE, Hands, Scripted, logged, one_batch, owned, to_writing

pytestmark = pytest.mark.django_db(transaction=True)
ME = "here:2:2"


def silent_for(seconds: float, name: str = "fixed-tick-1") -> None:
    FixedTopicConsumer.objects.filter(name=name).update(heartbeat_at=Now() - timedelta(seconds=seconds))


def test_a_free_row_is_taken_with_a_new_epoch_and_no_word_in_the_log() -> None:
    session = ActorSession(owned(), Event())
    session.release()
    taken = claim(FixedTopicConsumer, "fixed-tick", ME)
    assert taken is not None
    assert (taken.name, taken.epoch, taken.owner) == ("fixed-tick-1", 2, ME)
    assert logged() == []


def test_a_row_whose_owner_lives_is_not_taken() -> None:
    owned()
    silent_for(9)
    assert claim(FixedTopicConsumer, "fixed-tick", ME) is None


def test_a_row_without_a_sign_of_life_for_ten_seconds_is_taken_over() -> None:
    owned("elsewhere:1:1")
    silent_for(11)
    taken = claim(FixedTopicConsumer, "fixed-tick", ME)
    assert taken is not None and taken.epoch == 2
    assert logged("event", "source", "target", "reason", "by") == [
        ("TAKEOVER", "idle", "idle", "elsewhere:1:1 gave no sign of life for 11 s", ME)
    ]


def test_a_row_of_a_process_that_no_longer_exists_is_taken_over_at_once() -> None:
    owned(GONE)
    taken = claim(FixedTopicConsumer, "fixed-tick", ME)
    assert taken is not None
    assert logged("event", "reason") == [("TAKEOVER", f"{GONE} no longer exists")]


def test_what_the_last_owner_left_half_done_ends_through_the_chart() -> None:
    to_writing(ActorSession(owned(GONE), Event()))
    taken = claim(FixedTopicConsumer, "fixed-tick", ME)
    assert taken is not None and (taken.state, FixedTopicConsumer.objects.get().state) == ("idle", "idle")
    assert logged("event", "source", "target", "reason", "by")[2:] == [
        ("TAKEOVER", "writing_to_db", "writing_to_db", f"{GONE} no longer exists", ME),
        ("WRITE_FAILURE", "writing_to_db", "error", "abandoned in Writing to DB", ME),
        ("RESET", "error", "idle", "", f"takeover by {ME}"),
    ]


def test_a_row_given_back_between_two_steps_is_brought_back_to_its_first_state() -> None:
    session = ActorSession(owned(), Event())
    session.actor.message_received()
    session.release()
    claim(FixedTopicConsumer, "fixed-tick", ME)
    assert logged("event", "reason")[1:] == [
        ("TAKEOVER", "given back by its owner"),
        ("PROCESS_FAILURE", "abandoned in Processing Message"),
        ("RESET", ""),
    ]


def test_an_error_that_waits_for_a_person_goes_on_waiting_after_a_takeover() -> None:
    session = ActorSession(owned(GONE), Event())
    session.actor.message_received()
    session.actor.process_failure(reason="key refused")
    session.save()
    taken = claim(FixedTopicConsumer, "fixed-tick", ME)
    assert taken is not None and (taken.state, taken.reset_at) == ("error", None)


def test_a_dynamic_consumer_found_consuming_goes_on_consuming() -> None:
    actor = add_row(DynamicTopicConsumer, "dyn", GONE)
    assert isinstance(actor, DynamicTopicConsumer)
    actor.subscribe_to_topic()
    actor.subscribe_success()
    ActorSession(actor, Event()).save()
    taken = claim(DynamicTopicConsumer, "dyn", ME)
    assert taken is not None and taken.state == "consuming"


def test_the_old_owner_is_fenced_by_whatever_it_writes() -> None:
    old = ActorSession(owned("elsewhere:1:1"), Event())
    silent_for(11)
    claim(FixedTopicConsumer, "fixed-tick", ME)
    old.actor.message_received()
    for write in (old.save, old.beat, old.observe, old.release, lambda: old.reset(by="me"), lambda: old.waiting("x")):
        with pytest.raises(Fenced):
            write()
    assert FixedTopicConsumer.objects.get().owner == ME


def test_an_owner_whose_epoch_still_stands_goes_on_after_a_silence() -> None:
    session = ActorSession(owned(), Event())
    silent_for(60)
    one_batch(session)
    assert claim(FixedTopicConsumer, "fixed-tick", ME) is None


def test_rows_of_other_roles_are_left_alone() -> None:
    FixedTopicConsumer.objects.create(role="fixed-tick-late", name="fixed-tick-late-1")
    FixedTopicConsumer.objects.create(role="fixed-candle", name="fixed-candle-1")
    assert claim(FixedTopicConsumer, "fixed-tick", ME) is None


def test_rows_are_taken_by_number_not_by_letter() -> None:
    for number in (10, 9):
        FixedTopicConsumer.objects.create(role="fixed-tick", name=f"fixed-tick-{number}")
    taken = claim(FixedTopicConsumer, "fixed-tick", ME)
    assert taken is not None and taken.name == "fixed-tick-9"
    added = add_row(FixedTopicConsumer, "fixed-tick", ME)
    assert added is not None and added.name == "fixed-tick-11"


def test_a_retired_row_is_not_claimed_but_comes_back_when_a_further_one_is_needed() -> None:
    owned()
    FixedTopicConsumer.objects.create(role="fixed-tick", name="fixed-tick-2", retired_at=timezone.now())
    assert claim(FixedTopicConsumer, "fixed-tick", ME) is None
    added = add_row(FixedTopicConsumer, "fixed-tick", ME)
    assert added is not None and (added.name, added.retired_at, added.owner) == ("fixed-tick-2", None, ME)


def test_surplus_rows_that_nobody_owned_for_an_hour_retire_but_never_the_first() -> None:
    for number in (1, 2, 3):
        FixedTopicConsumer.objects.create(role="fixed-tick", name=f"fixed-tick-{number}", heartbeat_at=timezone.now())
    silent_for(3700, "fixed-tick-1")
    silent_for(3700, "fixed-tick-2")
    assert retire_surplus(FixedTopicConsumer, "fixed-tick") == 1
    assert FixedTopicConsumer.objects.get(retired_at__isnull=False).name == "fixed-tick-2"


def test_a_second_process_stands_by_where_one_may_work_and_takes_over_when_the_first_goes() -> None:
    hands = Hands()
    first, second = (Runner(Scripted(), Event(), hands.clock, me=f"host{n}:1:1") for n in (1, 2))
    first.step()
    for _ in range(40):
        hands.seconds += 1
        FixedTopicConsumer.objects.update(heartbeat_at=Now())
        assert second.step() == 1.0
    assert FixedTopicConsumer.objects.count() == 1
    first.end()
    second.step()
    assert FixedTopicConsumer.objects.get().owner == "host2:1:1"


def test_a_second_row_is_made_where_several_may_work_but_not_before_fifteen_seconds() -> None:
    hands = Hands()
    first, second = (Runner(Scripted(several=True), Event(), hands.clock, me=f"host{n}:1:1") for n in (1, 2))
    first.step()
    for hands.seconds in (0, 5, 10, 14.9):
        second.step()
        assert FixedTopicConsumer.objects.count() == 1
    hands.seconds = 15.1
    second.step()
    assert list(FixedTopicConsumer.objects.values_list("name", "owner")) == [
        ("fixed-tick-1", "host1:1:1"),
        ("fixed-tick-2", "host2:1:1"),
    ]


def test_copies_make_their_rows_at_once_and_no_more_of_them_than_there_are_to_be() -> None:
    hands = Hands()
    runners = [Runner(Scripted(), Event(), hands.clock, me=f"host{n}:1:1") for n in (1, 2, 3)]
    for runner in runners:
        runner.work.copies = 2  # type: ignore[attr-defined]
        runner.step()
    assert [runner.loop is not None for runner in runners] == [True, True, False]
    assert list(FixedTopicConsumer.objects.order_by("name").values_list("name", "owner")) == [
        ("fixed-tick-1", "host1:1:1"),
        ("fixed-tick-2", "host2:1:1"),
    ]


def test_a_fenced_runner_closes_its_work_and_stands_by() -> None:
    hands = Hands()
    work = Scripted(one_batch, one_batch)
    runner = Runner(work, Event(), hands.clock, me="host1:1:1")
    runner.step()
    FixedTopicConsumer.objects.update(epoch=F("epoch") + 1, owner=ME)
    runner.step()
    assert (work.closed, runner.loop) == (1, None)
    assert runner.step() == 1.0
    assert FixedTopicConsumer.objects.get().owner == ME


def test_this_process_is_not_gone_and_a_later_one_of_its_number_is_told_apart() -> None:
    host, pid, start = this_process().split(":")
    assert not is_gone(f"{host}:{pid}:{start}")
    assert is_gone(f"{host}:{pid}:{int(start) - 1}")
    assert is_gone(f"{host}:4194305:{start}")
    assert not is_gone(f"another-{host}:{pid}:{int(start) - 1}")
