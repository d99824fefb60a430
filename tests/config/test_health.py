"""The two health answers: is this process up, and does what it depends on answer?"""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.test import Client

from config.monitoring import cached_answer, health
from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.health import disk_refusal
from config.supervision.embedded_servers import postgres_url
from config.version import VERSION
from datastore.reference.provider import remember_provider
from tests.support.api.keys import saved_key


@pytest.mark.django_db
def test_ready_names_the_provider_and_says_whether_its_prices_are_invented(client: Client) -> None:
    remember_provider("cryptocompare", "simulator/seed=7", True)
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    expected = {"data": "unknown", "failing": {}, "provider": "simulator/seed=7", "simulated": True}
    assert answer.json() == {"status": "ready", "version": VERSION, **expected}


def test_ready_names_the_database_that_does_not_answer(client: Client, settings: Any) -> None:
    settings.DATABASE_URL = "postgresql://nobody@127.0.0.1:1/none"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert list(answer.json()["failing"]) == ["database"]
    assert answer.json()["failing"]["database"] == "does not answer", "no key can be checked without the database"
    assert answer.json()["provider"] is None


@pytest.mark.django_db
def test_ready_names_the_cache_and_the_stream_that_lives_in_it(client: Client, settings: Any) -> None:
    settings.REDIS_URL = settings.STREAM_URL = "redis://:secret@127.0.0.1:1/0"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert list(answer.json()["failing"]) == ["cache", "stream"]
    assert "secret" not in answer.content.decode()


@pytest.mark.django_db
def test_ready_names_the_folder_of_the_database_that_cannot_be_written(settings: Any, tmp_path: Path) -> None:
    assert disk_refusal() is None, "with a database elsewhere it holds logs only"
    settings.CANDLEKEEP_HOME, settings.DATABASE_URL = tmp_path, postgres_url(tmp_path)
    assert disk_refusal() == f"{tmp_path} cannot be written: No such file or directory"
    (tmp_path / "run").mkdir()
    assert disk_refusal() is None


@pytest.mark.django_db
def test_ready_asks_a_stream_of_its_own(client: Client, settings: Any) -> None:
    settings.STREAM_URL = "redis://127.0.0.1:1/0"
    assert list(client.get("/health/ready").json()["failing"]) == ["stream"]


@pytest.mark.django_db
def test_ready_names_a_kafka_that_does_not_answer(client: Client, settings: Any) -> None:
    settings.STREAM_URL = "kafka://127.0.0.1:1"
    assert client.get("/health/ready").json()["failing"] == {"stream": "does not answer"}
    failing = client.get("/health/ready", headers={"X-API-Key": saved_key("monitor", "read")}).json()["failing"]
    assert list(failing) == ["stream"]
    assert "kafka://127.0.0.1:1 does not answer" in failing["stream"] and "REFUSED" in failing["stream"]


@pytest.mark.django_db
def test_reasons_are_for_those_with_a_valid_key(client: Client, settings: Any, admin_client: Client) -> None:
    settings.REDIS_URL = settings.STREAM_URL = "redis://127.0.0.1:1/0"
    headers = {"X-API-Key": "ck_invented"}
    for answer in (client.get("/health/ready"), client.get("/health/ready", headers=headers)):
        assert set(answer.json()["failing"].values()) == {"does not answer"}
    assert "127.0.0.1:1" in admin_client.get("/health/ready").json()["failing"]["cache"]


@pytest.mark.django_db
def test_many_calls_within_a_second_ask_the_servers_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cached_answer, "TTL_S", 1.0)
    now = [0.0]
    counted = CachedAnswer(lambda: asked.append("servers") or health._compute_ready(), lambda: now[0])
    monkeypatch.setattr(health, "_ready", counted)
    for _ in range(200):
        assert client.get("/health/ready").status_code == 200
    assert len(asked) == 1
    now[0] = 1.0
    client.get("/health/ready")
    assert len(asked) == 2


def test_while_one_thread_computes_the_others_get_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_answer, "TTL_S", 1.0)
    now, answers, begun, may_end = [0.0], iter([1, 2]), Event(), Event()

    def compute() -> int:
        found = next(answers)
        if found == 2:
            begun.set()
            assert may_end.wait(20)
        return found

    cached = CachedAnswer(compute, lambda: now[0])
    assert cached.get() == 1
    now[0] = 5.0
    slow = Thread(target=cached.get)
    slow.start()
    assert begun.wait(20)
    assert [cached.get() for _ in range(200)] == [1] * 200, "none of them waits"
    may_end.set()
    slow.join(20)
    assert cached.get() == 2


def test_an_answer_that_cannot_be_computed_is_tried_again() -> None:
    outcomes: list[Any] = [ValueError("away"), 7]

    def compute() -> int:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return int(found)

    cached = CachedAnswer(compute)
    with pytest.raises(ValueError, match="away"):
        cached.get()
    assert cached.get() == 7


def test_live_asks_nobody(client: Client) -> None:
    answer = client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live", "version": VERSION})


@pytest.mark.django_db
def test_the_front_page_says_simulated_data_and_leads_on(client: Client) -> None:
    remember_provider("cryptocompare", "simulator/seed=7", True)
    page = client.get("/").content.decode()
    assert "SIMULATED DATA" in page and "simulator/seed=7" in page
    assert all(f'href="{path}"' in page for path in ("/actors", "/gaps", "/alerts", "/api/v1/docs"))


@pytest.mark.django_db
def test_the_front_page_of_real_prices_says_nothing_of_the_kind(client: Client) -> None:
    remember_provider("cryptocompare", "min-api.cryptocompare.com", False)
    page = client.get("/").content.decode()
    assert "SIMULATED" not in page and "min-api.cryptocompare.com" in page


@pytest.mark.django_db
def test_the_admins_style_is_served_without_collecting_files(client: Client) -> None:
    answer = client.get("/static/admin/css/base.css")
    assert answer.status_code == 200
    assert b"body" in b"".join(answer)
