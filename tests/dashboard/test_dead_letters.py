"""The pages of dead letters: reasons, bytes that can be read, and replays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from dashboard.letter_list import readable_bytes
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import DeadLetter, Market
from streaming.broker_factory import connect
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.rows import SYMBOL
from tests.support.dashboard.reading import XSS, XSS_SHOWN, shown, written
from tests.support.streaming.memory import MemoryBroker

pytestmark = pytest.mark.django_db


def letter(number: int = 1, raw: bytes = b'{"price":1.10}', market: str | None = SYMBOL, reason: str = "who?") -> None:
    refusal = Refusal(RefusalCode.UNKNOWN_MARKET if market else RefusalCode.UNREADABLE, reason)
    store_dead_letters([DeadLetterRecord("tick-data", market, refusal, raw, f"{number}-0" if market else "")])


@pytest.fixture
def broker(settings: Any) -> Iterator[None]:
    settings.STREAM_URL = "memory://letters"
    connect(settings.STREAM_URL, settings.STREAM_MAXLEN).admin().create_topic("tick-data")
    yield
    MemoryBroker.forget("letters")


def test_without_dead_letters_the_page_says_what_that_means(client: Client, market: Market) -> None:
    assert "Everything could be stored" in shown(client, "/dead-letters")


def test_dead_letters_are_counted_by_reason_and_filtered(client: Client, market: Market) -> None:
    letter(1)
    letter(2)
    letter(market=None)
    page = shown(client, "/dead-letters")
    assert page.count('<tr id="letter-') == 3
    assert "unknown_market (2)" in page
    for question, listed in (
        ("reason=unknown_market", 2),
        ("topic=tick-data", 3),
        ("topic=candle-data", 0),
        ("market=kraken", 0),
        ("reason=unreadable", 1),
    ):
        assert shown(client, f"/dead-letters?{question}").count('<tr id="letter-') == listed


@pytest.mark.parametrize(
    ("raw", "form", "text"),
    [
        (b'{"price":1.10,"x":[1]}', "JSON", '{\n  "price": 1.10,\n  "x": [\n    1\n  ]\n}'),
        (b"<html>\nno JSON", "text", "<html>\nno JSON"),
        (b"{\xff\x00a", "bytes", "00000000  7b ff 00 61"),
        (b"a\x00b", "bytes", "00000000  61 00 62"),
        (b"", "text", ""),
        (b"[" * 50_000, "text", "[[["),
    ],
)
def test_bytes_are_shown_as_what_they_are(raw: bytes, form: str, text: str) -> None:
    found = readable_bytes(raw)
    assert (found.form, found.size) == (form, len(raw))
    assert found.text.startswith(text)


def test_a_dead_letter_is_shown_with_its_bytes_and_why_it_cannot_be_replayed(client: Client, market: Market) -> None:
    letter(market=None, raw=b"<html>")
    page = shown(client, f"/dead-letters/{DeadLetter.objects.get().pk}")
    assert "&lt;html&gt;" in page
    assert "It cannot be replayed" in page
    assert 'href="/dead-letters"' in shown(client, "/dead-letters/999", 404)


def test_staff_replay_one_and_all_of_a_reason(client: Client, staff: Client, market: Market, broker: None) -> None:
    letter(1)
    letter(2)
    letter(market=None)
    first, second = DeadLetter.objects.exclude(market=None).order_by("id").values_list("pk", flat=True)
    replay = f"/api/v1/dead-letters/{first}/replay"
    assert replay not in shown(client, "/dead-letters?reason=unknown_market")
    page = shown(staff, "/dead-letters?reason=unknown_market")
    assert f'data-each="{replay} /api/v1/dead-letters/{second}/replay"' in page
    written(client, replay, 401)
    written(staff, replay, 202)
    assert DeadLetter.objects.get(pk=first).replayed_by == "user ada (API)"
    assert f'data-each="/api/v1/dead-letters/{second}/replay"' in shown(staff, "/dead-letters?reason=unknown_market")
    assert "can be replayed that was not" in shown(staff, "/dead-letters?reason=unreadable")


def test_a_text_of_others_stays_text(client: Client, market: Market) -> None:
    letter(raw=XSS.encode(), reason=XSS)
    for address in ("/dead-letters", f"/dead-letters/{DeadLetter.objects.get().pk}"):
        page = shown(client, address)
        assert XSS not in page
        assert page.count(XSS_SHOWN) == 2


def test_the_statements_are_as_many_for_many_and_a_page_has_a_hundred(
    client: Client, market: Market, count_statements: Any
) -> None:
    letter()
    few = count_statements(client, "/dead-letters?reason=unknown_market")
    for number in range(2, 112):
        letter(number)
    assert count_statements(client, "/dead-letters?reason=unknown_market") == few
    assert shown(client, "/dead-letters").count('<tr id="letter-') == 100
    assert shown(client, "/dead-letters?page=2").count('<tr id="letter-') == 11
