"""POST markets: the always-on set over HTTP, and what a mere question leaves behind."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from coordination.models import Coordinator
from datastore.backfill import gap_repair
from datastore.models import Coverage, FetchRequest, GapRepair, Market, ProviderCandle
from datastore.reference.markets import follow
from datastore.reference.pairs import Listed, save_pair_list
from datastore.requests import endings
from tests.support.api.rows import BEGAN, MINUTE, body_of

SOL = "kraken:SOL-EUR"
LISTED = [Listed("Kraken", "SOL", "EUR"), Listed("Coinbase", "SOL", "USD"), Listed("Coinbase", "BTC", "USD")]


@pytest.fixture
def staff(db: None, market: Market) -> Client:
    save_pair_list("cryptocompare", LISTED)
    client = Client()
    client.force_login(User.objects.create_user("ada", is_staff=True))
    return client


def post(client: Client, body: Any, status: int) -> Any:
    answer = client.post("/api/v1/markets", json.dumps(body), content_type="application/json")
    assert answer.status_code == status, answer.content
    return {**json.loads(answer.content), "Location": answer.get("Location")}


def test_a_market_is_followed_once_and_its_history_asked_for(staff: Client) -> None:
    body = post(staff, {"market": SOL}, 201)
    assert (body["market"], body["followed"], body["feed"], body["Location"]) == (
        SOL,
        True,
        "none",
        f"/api/v1/markets/{SOL}",
    )
    assert sorted(FetchRequest.objects.values_list("resolution", flat=True)) == [60, 3600, 86400]
    assert post(staff, {"market": "SOL/EUR"}, 200)["market"] == SOL
    assert FetchRequest.objects.count() == 3


@pytest.mark.parametrize(
    ("base", "address"),
    [("币安人生", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9F"), ("$WIF", "%24WIF"), ("50%?#&", "50%25%3F%23%26")],
)
def test_a_market_of_any_listed_name_is_followed_and_found_at_its_address(
    staff: Client, base: str, address: str
) -> None:
    save_pair_list("cryptocompare", [*LISTED, Listed("MEXC", base, "USDT")])
    body = post(staff, {"market": f"mexc:{base}-USDT"}, 201)
    assert body["Location"] == f"/api/v1/markets/mexc:{address}-USDT"
    assert body_of(staff, body["Location"])["market"] == body["market"] == f"mexc:{base}-USDT"
    candles = body_of(staff, f"/api/v1/candles?market=mexc:{address}-USDT&timeframe=1m")
    assert candles["market"] == body["market"] and f"market=mexc:{address}-USDT" in candles["stream_url"]


def test_a_market_that_was_only_asked_for_becomes_followed(staff: Client) -> None:
    assert body_of(staff, f"/api/v1/markets/{SOL}")["followed"] is False
    assert post(staff, {"market": SOL}, 201)["followed"] is True


def test_a_market_that_is_not_listed_is_404_with_near_names(staff: Client) -> None:
    assert SOL in post(staff, {"market": "kraken:SOL-USDT"}, 404)["errors"]["market"][0]
    assert not Market.objects.filter(symbol="kraken:SOL-USDT").exists()


@pytest.mark.parametrize("body", [{}, {"market": ""}, {"market": SOL, "x": 1}, {"market": ["a"]}, [SOL], 7])
def test_a_bad_body_is_400_and_names_what_is_wrong(staff: Client, body: Any) -> None:
    assert post(staff, body, 400)["errors"]


def test_only_staff_with_a_csrf_token_may_follow(staff: Client, client: Client) -> None:
    post(client, {"market": SOL}, 401)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get())
    post(strict, {"market": SOL}, 403)
    assert not Market.objects.filter(symbol=SOL).exists()
    body_of(client, "/api/v1/markets")


def test_the_gap_scan_lets_a_market_be_that_nobody_follows(staff: Client) -> None:
    body_of(staff, f"/api/v1/markets/{SOL}")
    sol = Market.objects.get(symbol=SOL)
    Coverage.objects.create(market=sol, source="provider", resolution=60, start=BEGAN - MINUTE, stop=BEGAN)
    gap_repair.scan()
    assert not GapRepair.objects.filter(market__symbol=SOL).exists()
    assert not FetchRequest.objects.filter(market=sol).exists()
    follow(sol)
    gap_repair.scan()
    assert FetchRequest.objects.filter(market=sol).exists()


def test_what_came_since_is_fetched_by_the_next_question_alone(staff: Client, coordinator: Coordinator) -> None:
    address = f"/api/v1/candles?market={SOL}&timeframe=1m&limit=30&wait=0"
    body_of(staff, address, 202)
    sol = Market.objects.get(symbol=SOL)
    (first,) = FetchRequest.objects.filter(market=sol)
    assert first.purpose == FetchRequest.Purpose.READER
    answer_until(sol, first.stop - 3 * MINUTE)
    body = body_of(staff, address)
    assert body["complete"] is False and len(body["candles"]) == 1
    (second,) = FetchRequest.objects.filter(market=sol, state=FetchRequest.State.QUEUED)
    assert second.start == first.stop - 3 * MINUTE and second.purpose == FetchRequest.Purpose.READER
    answer_until(sol, second.stop)
    body = body_of(staff, f"{address}&to={round(second.stop.timestamp())}")
    assert body["complete"] is True and body["request"] is None
    states = [segment["state"] for segment in body["coverage"]]
    # The newest minute is final a while before the watermark of a market without a feed passes it.
    assert states[0] == "provider" and set(states) <= {"provider", "pending"}
    assert FetchRequest.objects.filter(market=sol).count() == 2


def answer_until(market: Market, stop: datetime) -> None:
    """Let the provider have answered up to there, and the fetches under way have ended."""
    start = stop - 60 * MINUTE
    Coverage.objects.filter(market=market).delete()
    Coverage.objects.create(market=market, source="provider", resolution=60, start=start, stop=stop)
    price = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "7")
    ProviderCandle.objects.filter(market=market).delete()
    ProviderCandle.objects.create(market=market, resolution=60, open_time=stop - 9 * MINUTE, version=1, **price)
    FetchRequest.objects.update(state="done", finished_at=timezone.now())
    endings.end_requests()
