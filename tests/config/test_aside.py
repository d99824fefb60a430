"""What a start does with the database, in a process of its own: each step is a line, and a refusal ends the start."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from django.conf import settings

from config.supervision import aside
from config.supervision.errors import StartError
from config.supervision.provider import Contact, Identity
from datastore.reference.markets import feed_markets
from datastore.reference.provider import remember_provider

pytestmark = pytest.mark.django_db
FOUND = [Contact("cryptocompare", Identity("simulator/seed=1", simulated=True), answered=True)]


def printed(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Return what was printed, line by line."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_without_a_fork_server_it_is_done_here() -> None:
    steps = list(aside.set_up_contents(None, lambda line: None, FOUND))
    assert steps[0] == "provider simulator/seed=1, SIMULATED DATA"
    assert steps[1].endswith(", ".join(settings.MARKETS)) and steps[2].endswith("of history asked for")
    assert {market.symbol for market in feed_markets()} == set(settings.MARKETS)


def test_the_process_prints_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    aside.main("contents", json.dumps([asdict(contact) for contact in FOUND]))
    assert [kind for kind, _ in printed(capsys)] == [aside.STEP] * 3


def test_what_the_start_is_refused_for_is_said_to_the_one_who_started_it(capsys: pytest.CaptureFixture[str]) -> None:
    remember_provider("cryptocompare", "simulator/seed=2", simulated=True)
    aside.main("contents", json.dumps([asdict(contact) for contact in FOUND]))
    ((kind, text),) = printed(capsys)
    assert kind == aside.REFUSAL and "prices of two are never mixed" in text
    with pytest.raises(StartError, match="never mixed"):
        list(aside.set_up_contents(None, lambda line: None, FOUND))


def test_what_is_no_step_is_for_a_person() -> None:
    assert aside._read("a warning") == ("", "a warning")
