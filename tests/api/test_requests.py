"""The rows of questions that had to fetch: their transitions, how they are shown and ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import InternalError
from django.test import Client

from coordination.models import Coordinator
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.provider_clock import provider_now
from tests.support.api.fetching import ADDRESS, AT_ONCE, STATES, bring, events_of, finish, request_of
from tests.support.api.rows import body_of


def test_the_row_holds_every_transition_from_the_question_on(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    request = request_of(body_of(client, AT_ONCE, 202))
    assert events_of(request) == [
        "REQUEST_DATA",
        "START_DB_QUERY",
        "DB_QUERY_EMPTY",
        "ASK_FOR_WHAT_IS_MISSING",
        "FETCH_INSTRUCTIONS_SENT",
    ]
    bring(market)
    assert body_of(client, ADDRESS)["request"] is None
    assert events_of(request)[5:] == ["DATA_FETCHED", "RETURN_DATA_SUCCESS"]
    assert DatastoreRequest.objects.get(pk=request.pk).state == STATES.IDLE


def test_a_failed_fetch_is_told_and_not_repeated_by_the_next_question(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    request = request_of(body_of(client, AT_ONCE, 202))
    finish("failed", "the provider sent garbage")
    body = body_of(client, ADDRESS)
    assert body["complete"] is False
    assert "garbage" in body["request"]["error"]
    assert FetchRequest.objects.count() == 1
    assert events_of(request)[-2:] == ["DATA_FETCH_FAILED", "RESET"]


def test_a_read_that_fails_is_a_row_with_the_reason(
    client: Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise InternalError("the index is corrupt")

    monkeypatch.setattr("datastore.api.views.candles.read_series", fails)
    assert body_of(client, ADDRESS, 500)["detail"]
    (request,) = DatastoreRequest.objects.all()
    assert (request.state, request.last_error) == (STATES.IDLE, "the index is corrupt")
    assert events_of(request)[-2:] == ["DB_QUERY_FAILURE", "RESET"]


def test_a_request_is_shown_and_telling_its_end_ends_it(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    address = body_of(client, AT_ONCE, 202)["request"]["url"]
    assert body_of(client, address)["answer"] is None
    bring(market)
    shown = body_of(client, address)
    assert (shown["state"], shown["error"]) == ("returning_data", None)
    assert len(body_of(client, shown["answer"])["candles"]) == 1
    assert body_of(client, address)["state"] == "idle"


def test_a_failed_request_keeps_its_error_after_its_reset(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    address = body_of(client, AT_ONCE, 202)["request"]["url"]
    finish("failed", "unknown market")
    assert [body_of(client, address)[key] for key in ("state", "error")] == ["error", "unknown market"]
    assert [body_of(client, address)[key] for key in ("state", "error")] == ["idle", "unknown market"]


@pytest.mark.parametrize("number", ["0", "9" * 18])
def test_an_unknown_request_is_404(client: Client, market: Market, number: str) -> None:
    body_of(client, f"/api/v1/requests/{number}", 404)
    body_of(client, f"/api/v1/requests/{number}?a=1", 400)


def test_a_backfill_of_trades_is_shown_as_any_other(client: Client, market: Market) -> None:
    now = provider_now(market.provider)
    fetch = FetchRequest.objects.create(
        market=market,
        resolution=FetchRequest.TRADES,
        last_id=99,
        start=now - timedelta(hours=1),
        stop=now,
        purpose=3,
        pages_done=2,
    )
    request = DatastoreRequest.objects.create(
        name="request-1", market=market.symbol, timeframe="1m", start=fetch.start, stop=now, fetches=[fetch.pk],
        state=STATES.WAITING_FOR_DATA,
    )  # fmt: skip
    body = body_of(client, f"/api/v1/requests/{request.pk}")
    assert [(one["resolution"], one["pages_done"]) for one in body["fetches"]] == [(0, 2)]
