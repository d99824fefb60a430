from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.test.utils import isolate_apps
from django.utils import timezone

from actor_runtime import transition_log as actor_log
from actor_runtime.errors import Fenced
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor, TransitionLog, state_field
from consumers.models import FixedTopicConsumer
from tests.support.actor_runtime.work import logged, one_batch, owned, to_writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer() -> FixedTopicConsumer:
    return FixedTopicConsumer.objects.create(role="fixed-tick", name="fixed-tick-1", epoch=3)


@pytest.fixture
def session() -> ActorSession:
    return ActorSession(owned(), Event())


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Transitions happen at the last moment of this list."""
    moments = [datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)]
    monkeypatch.setattr(timezone, "now", lambda: moments[-1])
    return moments


def test_a_locked_actor_is_saved_with_its_transitions_on_a_clean_exit(consumer: FixedTopicConsumer) -> None:
    with FixedTopicConsumer.locked("fixed-tick-1", epoch=3) as actor:
        actor.message_received()
        actor.process_success()
    assert FixedTopicConsumer.objects.get().state == "writing_to_db"
    assert logged("event", "source", "target", "count") == [
        ("MESSAGE_RECEIVED", "idle", "processing_message", 1),
        ("PROCESS_SUCCESS", "processing_message", "writing_to_db", 1),
    ]


def test_a_locked_actor_keeps_its_row_when_the_block_fails(consumer: FixedTopicConsumer) -> None:
    with pytest.raises(ZeroDivisionError), FixedTopicConsumer.locked("fixed-tick-1") as actor:
        actor.message_received()
        raise ZeroDivisionError
    assert FixedTopicConsumer.objects.get().state == "idle"
    assert not TransitionLog.objects.exists()


def test_a_wrong_epoch_is_fenced_before_anything_is_written(consumer: FixedTopicConsumer) -> None:
    with pytest.raises(Fenced), FixedTopicConsumer.locked("fixed-tick-1", epoch=2) as actor:
        actor.message_received()
    assert FixedTopicConsumer.objects.get().state == "idle"


def test_another_hand_on_a_row_does_not_count_as_its_owners_heartbeat(consumer: FixedTopicConsumer) -> None:
    with FixedTopicConsumer.locked("fixed-tick-1") as actor:
        actor.message_received()
    assert FixedTopicConsumer.objects.get().heartbeat_at is None


def test_a_state_can_only_be_changed_by_its_transitions(consumer: FixedTopicConsumer) -> None:
    with pytest.raises(AttributeError):
        consumer.state = "error"


def test_a_save_is_one_statement(session: ActorSession, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    session.actor.message_received()
    session.actor.process_success()
    with django_assert_num_queries(1):
        session.save()
    with django_assert_num_queries(1):
        session.beat()


def test_equal_transitions_of_a_minute_share_a_row_that_counts(session: ActorSession, at: list[datetime]) -> None:
    one_batch(session)
    at.append(at[0] + timedelta(seconds=40))
    one_batch(session)
    one_batch(session)
    rows = TransitionLog.objects.all()
    assert {(row.event, row.count, row.first_at, row.last_at) for row in rows} == {
        (event, 3, at[0], at[1])
        for event in ("MESSAGE_RECEIVED", "PROCESS_SUCCESS", "WRITE_SUCCESS", "UPDATE_CACHE_SUCCESS")
    }


def test_many_transitions_between_two_saves_are_counted_too(session: ActorSession, at: list[datetime]) -> None:
    for _ in range(5):
        session.actor.message_received()
        session.actor.process_success()
        session.actor.write_success()
        session.actor.update_cache_success()
    session.save()
    assert logged("event", "count") == [
        ("MESSAGE_RECEIVED", 5),
        ("PROCESS_SUCCESS", 5),
        ("WRITE_SUCCESS", 5),
        ("UPDATE_CACHE_SUCCESS", 5),
    ]


def test_the_next_minute_begins_a_new_row(session: ActorSession, at: list[datetime]) -> None:
    one_batch(session)
    at.append(at[0] + timedelta(minutes=1))
    one_batch(session)
    assert TransitionLog.objects.filter(event="WRITE_SUCCESS").count() == 2


def test_failures_and_resets_always_have_a_row_of_their_own(session: ActorSession, at: list[datetime]) -> None:
    for number in range(3):
        to_writing(session)
        session.actor.write_failure(reason=f"disk full {number}")
        session.actor.reset(by="ada")
        session.save()
    alone = list(TransitionLog.objects.filter(minute=None).order_by("id").values_list("event", "count", "reason", "by"))
    assert alone == [
        row for number in range(3) for row in (("WRITE_FAILURE", 1, f"disk full {number}", ""), ("RESET", 1, "", "ada"))
    ]


def test_two_actors_do_not_share_a_row_of_the_log(session: ActorSession, at: list[datetime]) -> None:
    one_batch(session)
    one_batch(ActorSession(owned(role="fixed-candle"), Event()))
    assert set(TransitionLog.objects.values_list("name", "kind", "count")) == {
        ("fixed-tick-1", "fixedtopicconsumer", 1),
        ("fixed-candle-1", "fixedtopicconsumer", 1),
    }


def test_old_log_rows_are_trimmed(session: ActorSession, at: list[datetime]) -> None:
    one_batch(session)
    at.append(at[0] + timedelta(days=2))
    one_batch(session)
    assert actor_log.trim(days=1) == 4
    assert TransitionLog.objects.count() == 4


def test_each_transition_is_a_line_of_the_process_log(session: ActorSession, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="actor_runtime.transition_log")
    to_writing(session)
    session.actor.write_failure(reason="disk full")
    session.actor.reset(by="ada")
    said: list[tuple[str, Any]] = [(record.levelname, record.msg) for record in caplog.records]
    told = [(level, event["trigger"], event.get("reason")) for level, event in said]
    assert told == [
        ("DEBUG", "MESSAGE_RECEIVED", None),
        ("DEBUG", "PROCESS_SUCCESS", None),
        ("ERROR", "WRITE_FAILURE", "disk full"),
        ("INFO", "RESET", None),
    ]


def test_a_joined_save_leaves_the_durability_of_the_data_alone(session: ActorSession) -> None:
    def setting() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        session.actor.message_received()
        session.save()
        assert setting() == "on"


def test_an_owner_does_not_bring_back_a_row_that_was_retired(session: ActorSession) -> None:
    FixedTopicConsumer.objects.update(retired_at=timezone.now())
    one_batch(session)
    assert FixedTopicConsumer.objects.get().retired_at is not None


def test_a_work_that_catches_its_failed_transaction_saves_what_was_before_it(session: ActorSession) -> None:
    to_writing(session)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        session.actor.write_success()
        session.save()
        raise ZeroDivisionError
    session.save()
    assert FixedTopicConsumer.objects.get().state == "writing_to_db"
    assert not TransitionLog.objects.filter(event="WRITE_SUCCESS").exists()


@isolate_apps("actor_runtime")
def test_a_locked_actor_saves_the_columns_that_its_chart_adds() -> None:
    class Counting(Actor):
        class State(models.TextChoices):
            IDLE = "idle", "Idle"

        state = state_field(State, State.IDLE)
        pages = models.IntegerField(default=0)

        class Meta:
            app_label = "actors"

    with connection.schema_editor() as editor:
        editor.create_model(Counting)
    try:
        Counting._default_manager.create(name="history-1")
        with Counting.locked("history-1") as actor:
            actor.pages = 7
        assert Counting._default_manager.get().pages == 7
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Counting)
