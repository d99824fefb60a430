"""`backfill --trades`: what it says before, whom it asks, what it says in the end."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models.functions import Now

from coordination.models import Coordinator
from datastore.management.commands import backfill as backfill_command
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.requests import endings
from tests.support.datastore.counted import counting, dealt
from tests.support.datastore.records import BTC, moment, store

__all__ = ["counting"]
pytestmark = pytest.mark.django_db
FROM = ("--from", "2023-11-15T12:01:00Z")


@pytest.fixture
def market(counting: Market) -> Market:
    """Trades 100 to 199 are stored, one each second after noon; a Coordinator runs."""
    store(*[dealt(id, n=id) for id in range(100, 200)])
    Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())
    return counting


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("backfill", BTC, "--trades", *arguments, stdout=out)
    return out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Platform:
    """Stands for what the platform does while the command waits."""

    def __init__(self, *ids: int) -> None:
        self._ids = ids

    def wait(self, seconds: float) -> None:
        store(*[dealt(id, n=id, feed="tick-data/two") for id in self._ids])
        FetchRequest.objects.update(state="done", pages_done=1, pages_total=1)
        endings.end_requests()


def test_it_says_what_it_takes_and_what_it_brought(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_command, "Event", lambda: Platform(*range(59, 100)))
    out = run(*FROM).splitlines()
    assert out[0] == (
        "About 40 trades of coinbase:BTC-USD back to 2023-11-15 12:01 UTC: 1 call of coinbase, 1 second if nothing "
        "more urgent comes, 0.0 MB of disk."
    )
    assert out[1].endswith(": trades of coinbase:BTC-USD requested.")
    assert out[-1] == "coinbase:BTC-USD: the venue's ids prove 2 of 2 minutes."
    assert run(*FROM) == ("There is nothing to fetch.\ncoinbase:BTC-USD: the venue's ids prove 2 of 2 minutes.\n")


def test_what_is_not_proven_in_the_end_is_said(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_command, "Event", lambda: Platform(*range(80, 100)))
    with pytest.raises(CommandError, match="ids prove 1 of 2 minutes"):
        run(*FROM)


@pytest.mark.parametrize(("said", "made"), [("y", 1), ("", 0), ("n", 0)])
def test_a_terminal_is_asked_whether_to_go_on(
    market: Market, monkeypatch: pytest.MonkeyPatch, said: str, made: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{said}\n"))
    if made:
        run(*FROM, "--no-wait")
    else:
        with pytest.raises(CommandError, match="Nothing was requested"):
            run(*FROM, "--no-wait")
    assert FetchRequest.objects.count() == made
    run(*FROM, "--no-wait", "--yes")
    assert DatastoreRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2023-10-01"), "TICK_RETENTION_DAYS"),
        (("--from", "2023-11-15T12:30:00Z"), "No trade of coinbase:BTC-USD since --from"),
        (("--from", "2023-11-15T12:03:00Z", "--to", "2023-11-15T12:02:00Z"), "--from must be before --to"),
        (("--from", "2030-01-01"), "--from must be before --to"),
        ((*FROM, "--again"), "--again is about candles"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(market: Market, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not FetchRequest.objects.exists()


def test_a_provider_without_a_history_of_trades_says_so(market: Market) -> None:
    Market.objects.filter(pk=market.pk).update(provider="cryptocompare")
    with pytest.raises(CommandError, match="cryptocompare has no history of trades: leave --trades out"):
        run(*FROM)


def test_a_request_names_the_span_that_it_is_for(market: Market, settings: Any) -> None:
    run(*FROM, "--no-wait")
    request = DatastoreRequest.objects.get()
    assert (request.start, request.timeframe) == (moment(1_700_049_660_000_000), "1m")
    assert request.fetches == list(FetchRequest.objects.values_list("pk", flat=True))
