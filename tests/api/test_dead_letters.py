from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import DeadLetter
from streaming.broker_factory import connect
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.rows import SYMBOL, body_of
from tests.support.streaming.memory import MemoryBroker

ADDRESS = "/api/v1/dead-letters"


@pytest.fixture
def topic(db: None, settings: Any) -> Any:
    settings.STREAM_URL = "memory://letters"
    connect(settings.STREAM_URL, settings.STREAM_MAXLEN).admin().create_topic("tick-data")
    yield "tick-data"
    MemoryBroker.forget("letters")


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("ada", is_staff=True))
    return client


def bury(topic: str, market: str | None, reason: str, raw: bytes, position: str = "") -> None:
    store_dead_letters([DeadLetterRecord(topic, market, Refusal(RefusalCode.OTHER, reason), raw, position)])


def published() -> list[tuple[str, bytes]]:
    reader = connect(settings.STREAM_URL, settings.STREAM_MAXLEN).subscribe("reader", ["tick-data"])
    return [(record.key, record.value) for record in reader.poll(0, 100)]


def test_a_letter_is_shown_with_its_bytes_even_where_they_are_no_text(client: Client, db: None) -> None:
    bury("tick-data", SYMBOL, "no JSON", b'{"price": \xff', "1-0")
    (letter,) = body_of(client, ADDRESS)["dead_letters"]
    assert (letter["text"], base64.b64decode(letter["base64"])) == ('{"price": \\xff', b'{"price": \xff')
    assert (letter["topic"], letter["market"], letter["reason"], letter["position"], letter["bytes"]) == (
        "tick-data",
        SYMBOL,
        "no JSON",
        "1-0",
        11,
    )
    assert (letter["obstacle"], letter["replayed"], letter["replayed_by"]) == (None, None, None)
    assert body_of(client, f"{ADDRESS}/{letter['id']}") == letter


def test_a_long_letter_is_cut_in_the_list_and_whole_alone(client: Client, db: None) -> None:
    bury("tick-data", None, "too long", b"a" * 20_000, "1-0")
    (listed,) = body_of(client, ADDRESS)["dead_letters"]
    assert (len(listed["text"]), listed["bytes"]) == (10_000, 20_000)
    assert len(body_of(client, f"{ADDRESS}/{listed['id']}")["text"]) == 20_000


def test_letters_come_newest_first_page_by_page(client: Client, db: None) -> None:
    for number in range(5):
        bury("tick-data", f"m{number % 2}", f"r{number}", b"", f"{number}-0")
    bury("candle-data", "m0", "other", b"")
    found: list[str] = []
    address = f"{ADDRESS}?topic=tick-data&limit=2"
    while address:
        body = body_of(client, address)
        assert len(body["dead_letters"]) <= 2
        found += [letter["reason"] for letter in body["dead_letters"]]
        address = body["next"]
    assert found == ["r4", "r3", "r2", "r1", "r0"]
    of_one = body_of(client, f"{ADDRESS}?market=m0")["dead_letters"]
    assert [letter["reason"] for letter in of_one] == ["other", "r4", "r2", "r0"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=x", "topic=a b", "from=1", "market=%00"])
def test_a_bad_question_names_its_parameter(client: Client, db: None, query: str) -> None:
    assert list(body_of(client, f"{ADDRESS}?{query}", 400)["errors"]) == [query.partition("=")[0]]


def test_staff_publishes_a_letter_again_and_it_says_by_whom(staff: Client, topic: str) -> None:
    bury(topic, SYMBOL, "unknown market", b"{}", "1-0")
    pk = DeadLetter.objects.get().pk
    answer = staff.post(f"{ADDRESS}/{pk}/replay")
    body = json.loads(answer.content)
    assert (answer.status_code, body["replayed_by"], body["id"]) == (202, "user ada (API)", pk)
    assert body["replayed"] is not None
    assert published() == [(SYMBOL, b"{}")]


def test_a_frame_that_is_no_record_is_a_conflict_with_its_reason(staff: Client, topic: str) -> None:
    bury(topic, SYMBOL, "not JSON", b"<html>")
    answer = staff.post(f"{ADDRESS}/{DeadLetter.objects.get().pk}/replay")
    assert answer.status_code == 409
    assert "never became a record" in json.loads(answer.content)["detail"]
    assert published() == []


def test_a_broker_that_is_away_is_503_and_marks_nothing(staff: Client, topic: str) -> None:
    bury(topic, SYMBOL, "unknown market", b"{}", "1-0")
    MemoryBroker.named("letters", settings.STREAM_MAXLEN).go_away("unplugged")
    answer = staff.post(f"{ADDRESS}/{DeadLetter.objects.get().pk}/replay")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert DeadLetter.objects.get().replayed_at is None


def test_only_staff_may_replay_and_only_what_is_there(client: Client, staff: Client, topic: str) -> None:
    bury(topic, SYMBOL, "unknown market", b"{}", "1-0")
    address = f"{ADDRESS}/{DeadLetter.objects.get().pk}/replay"
    assert client.post(address).status_code == 401
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get())
    assert strict.post(address).status_code == 403
    assert staff.get(address).status_code == 405
    assert staff.post(f"{ADDRESS}/999999/replay").status_code == 404
    assert published() == []


def test_the_admin_s_action_replays_with_its_own_permission(topic: str) -> None:
    bury(topic, SYMBOL, "unknown market", b"{}", "1-0")
    bury(topic, SYMBOL, "not JSON", b"<html>")
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
    client = Client()
    client.force_login(user)
    chosen = {
        "action": "replay_dead_letters",
        "_selected_action": list(DeadLetter.objects.values_list("pk", flat=True)),
    }
    address = reverse("admin:datastore_deadletter_changelist")
    client.post(address, chosen)
    assert published() == []
    user.user_permissions.add(Permission.objects.get(codename="replay_deadletter"))
    page = client.post(address, chosen, follow=True).content.decode()
    assert "is published to tick-data again" in page and "never became a record" in page
    assert published() == [(SYMBOL, b"{}")]
    assert DeadLetter.objects.exclude(replayed_at=None).get().replayed_by == "bob (admin)"
