from __future__ import annotations

import pytest

from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import DeadLetter
from streaming.refusals import Refusal, RefusalCode

pytestmark = pytest.mark.django_db


def put(raw: bytes, position: str = "0:7") -> None:
    store_dead_letters([DeadLetterRecord("tick-data", None, Refusal(RefusalCode.UNREADABLE, "no JSON"), raw, position)])


def test_another_record_of_the_same_position_is_kept_however_often_either_is_brought() -> None:
    for raw in (b"one", b"one", b"another", b"another", b"one"):
        put(raw)
    assert sorted(bytes(letter.raw) for letter in DeadLetter.objects.all()) == [b"another", b"one"]


def test_frames_without_a_position_are_all_kept() -> None:
    for _ in range(2):
        put(b"frame", position="")
    assert DeadLetter.objects.count() == 2
