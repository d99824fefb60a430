"""The two commands for those who start the processes themselves: prepare once, then run each."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from config.supervision.embedded_servers import free_port
from datastore.models import FetchRequest, Market
from datastore.reference.provider import current_provider

NAMES = ("coinbase:BTC-USD", "kraken:ETH-EUR")


@pytest.fixture
def outside(settings: Any) -> Any:
    """Settings of a machine on which every server is someone else's, and the provider is away."""
    settings.EMBEDDED_DATABASE = settings.EMBEDDED_VALKEY = settings.EMBEDDED_SIMULATOR = False
    settings.CRYPTOCOMPARE_REST_URL = f"http://127.0.0.1:{free_port()}"
    settings.CRYPTOCOMPARE_WS_URL = "ws://127.0.0.1:1/v2"
    settings.MARKETS = list(NAMES)
    settings.ADMIN_PASSWORD = "chosen"
    return settings


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[tuple[str, ...], dict[str, str]]]:
    """Return what `run` would have become; the test's own process must live on."""

    def run(name: str) -> tuple[tuple[str, ...], dict[str, str]]:
        seen: list[tuple[tuple[str, ...], dict[str, str]]] = []
        monkeypatch.setattr(os, "chdir", lambda folder: None)
        monkeypatch.setattr(os, "execve", lambda path, argv, env: seen.append((argv, env)))
        call_command("run", name)
        return seen[0]

    return run


@pytest.mark.django_db
def test_prepare_makes_what_the_processes_need_and_may_be_repeated(outside: Any) -> None:
    for _ in range(2):
        call_command("prepare", stdout=StringIO())
    assert set(Market.objects.filter(followed=True).values_list("symbol", flat=True)) == set(NAMES)
    assert User.objects.get(username="admin").check_password("chosen")
    assert current_provider() == ("127.0.0.1", False)
    assert FetchRequest.objects.count() == 3 * len(NAMES)


@pytest.mark.django_db
def test_prepare_refuses_another_provider(outside: Any) -> None:
    call_command("prepare", stdout=StringIO())
    outside.CRYPTOCOMPARE_REST_URL = f"http://localhost:{free_port()}"
    with pytest.raises(CommandError, match=r"127\.0\.0\.1.*localhost"):
        call_command("prepare", stdout=StringIO())


@pytest.mark.parametrize("name", ["run", "prepare"])
def test_what_is_embedded_is_started_by_up_alone(name: str, settings: Any) -> None:
    settings.EMBEDDED_DATABASE = True
    with pytest.raises(CommandError, match=r"DATABASE_URL.*manage\.py up"):
        call_command(name, *(["web"] if name == "run" else []))


def test_run_becomes_the_process_on_the_given_servers(
    outside: Any, become: Callable[[str], tuple[tuple[str, ...], dict[str, str]]]
) -> None:
    argv, env = become("fixed-consumer")
    assert argv[-3:] == ("run_fixed_consumer", "--topic", "tick-data")
    assert env["DATABASE_URL"] == outside.DATABASE_URL
    assert env["CRYPTOCOMPARE_REST_URL"] == outside.CRYPTOCOMPARE_REST_URL
    assert "DATABASE_POOL" not in env or env["DATABASE_POOL"] == os.environ.get("DATABASE_POOL")
    argv, _ = become("web")
    assert argv[-2:] == ("-m", "config.supervision.web")


def test_run_names_the_processes_that_there_are() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'nothing'"):
        call_command("run", "nothing")
