from __future__ import annotations

import pytest
from django.db import transaction

from actors.errors import Fenced
from actors.models import TransitionLog
from consumers.models import FixedTopicConsumer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer() -> FixedTopicConsumer:
    return FixedTopicConsumer.objects.create(name="fixed-tick-1", epoch=3)


def test_a_locked_actor_is_saved_with_its_transitions_on_a_clean_exit(consumer: FixedTopicConsumer) -> None:
    with FixedTopicConsumer.locked("fixed-tick-1", epoch=3) as actor:
        actor.message_received()
        actor.process_success()
    assert FixedTopicConsumer.objects.get().state == "writing_to_db"
    events = list(TransitionLog.objects.order_by("id").values_list("event", "source", "target", "count"))
    assert events == [
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


def test_a_state_can_only_be_changed_by_its_transitions(consumer: FixedTopicConsumer) -> None:
    with pytest.raises(AttributeError):
        consumer.state = "error"
    assert transaction.get_autocommit()
