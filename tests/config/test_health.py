"""The two health answers: is this process up, and does what it stands on answer?"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from config.version import VERSION
from datastore.reference.provider import remember_provider


@pytest.mark.django_db
def test_ready_names_the_provider_and_says_whether_its_prices_are_invented(client: Client) -> None:
    remember_provider("simulator/seed=7", True)
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    expected = {"data": "unknown", "failing": {}, "provider": "simulator/seed=7", "simulated": True}
    assert answer.json() == {"status": "ready", "version": VERSION, **expected}


def test_ready_names_the_database_that_does_not_answer(client: Client, settings: Any) -> None:
    settings.DATABASE_URL = "postgresql://nobody@127.0.0.1:1/none"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert list(answer.json()["failing"]) == ["database"]
    assert "refused" in answer.json()["failing"]["database"]
    assert answer.json()["provider"] is None


@pytest.mark.django_db
def test_ready_names_the_cache_and_the_stream_that_lives_in_it(client: Client, settings: Any) -> None:
    settings.REDIS_URL = settings.STREAM_URL = "redis://:secret@127.0.0.1:1/0"
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert list(answer.json()["failing"]) == ["cache", "stream"]
    assert "secret" not in answer.content.decode()


@pytest.mark.django_db
def test_ready_asks_a_stream_of_its_own(client: Client, settings: Any) -> None:
    settings.STREAM_URL = "redis://127.0.0.1:1/0"
    assert list(client.get("/health/ready").json()["failing"]) == ["stream"]


@pytest.mark.django_db
def test_ready_names_a_kafka_that_does_not_answer(client: Client, settings: Any) -> None:
    settings.STREAM_URL = "kafka://127.0.0.1:1"
    failing = client.get("/health/ready").json()["failing"]
    assert list(failing) == ["stream"]
    assert "kafka://127.0.0.1:1 does not answer" in failing["stream"] and "REFUSED" in failing["stream"]


def test_live_asks_nobody(client: Client) -> None:
    answer = client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live", "version": VERSION})


@pytest.mark.django_db
def test_the_front_page_says_simulated_data_and_leads_on(client: Client) -> None:
    remember_provider("simulator/seed=7", True)
    page = client.get("/").content.decode()
    assert "SIMULATED DATA" in page and "simulator/seed=7" in page
    assert "/api/v1/candles?market=coinbase%3ABTC-USD" in page


@pytest.mark.django_db
def test_the_front_page_of_real_prices_says_nothing_of_the_kind(client: Client) -> None:
    remember_provider("min-api.cryptocompare.com", False)
    page = client.get("/").content.decode()
    assert "SIMULATED" not in page and "min-api.cryptocompare.com" in page


@pytest.mark.django_db
def test_the_admins_style_is_served_without_collecting_files(client: Client) -> None:
    answer = client.get("/static/admin/css/base.css")
    assert answer.status_code == 200
    assert b"body" in b"".join(answer)  # type: ignore[arg-type]
