"""The daily budget of the provider's pages: what one asker may cause."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from datastore.backfill import quota
from datastore.models import ApiKey, DatastoreRequest, FetchRequest, FetchSpending, Market
from tests.support.api.keys import saved_key
from tests.support.api.rows import SYMBOL, body_of

pytestmark = pytest.mark.usefixtures("coordinator")
DAY = "from=2026-11-{0:02}&to=2026-11-{1:02}"
HOURS = f"/api/v1/candles?market={SYMBOL}&timeframe=1h&wait=0&"
MINUTES = f"/api/v1/candles?market={SYMBOL}&timeframe=1m&wait=0&"


def spent() -> dict[str, int]:
    return dict(FetchSpending.objects.values_list("spender", "pages"))


def test_new_fetches_alone_are_counted_by_their_pages(client: Client, market: Market, settings: Any) -> None:
    settings.FETCH_BUDGET_PER_ADDRESS = 100
    for _ in range(3):
        body_of(client, MINUTES + DAY.format(2, 4), 202)  # 2,880 minutes
    assert spent() == {"address 127.0.0.1": 2}
    body_of(client, MINUTES + DAY.format(2, 5), 202)  # a day more
    assert spent() == {"address 127.0.0.1": 3}


def test_a_fetch_beyond_the_budget_is_not_made_and_the_answer_is_what_there_is_at_once(
    client: Client, market: Market, settings: Any
) -> None:
    settings.FETCH_BUDGET_PER_ADDRESS = 2
    body_of(client, HOURS + DAY.format(2, 4), 202)
    body = body_of(client, MINUTES + DAY.format(2, 4))
    assert (body["complete"], body["candles"], body["request"]["id"]) == (False, [], None)
    assert body["request"]["error"] == (
        "the budget of 2 of the provider's pages a day has 1 left until 00:00 UTC; this takes 2"
    )
    assert (FetchRequest.objects.count(), DatastoreRequest.objects.count()) == (1, 1)
    assert spent() == {"address 127.0.0.1": 1}
    body_of(client, MINUTES + DAY.format(2, 3), 202)  # what is left is still good for a smaller question
    body_of(client, HOURS + DAY.format(2, 4), 202)  # and what is under way costs nothing


def test_a_key_spends_its_own_budget(client: Client, market: Market, settings: Any) -> None:
    settings.FETCH_BUDGET_PER_ADDRESS, settings.FETCH_BUDGET_PER_KEY = 1, 2
    plain, big = saved_key("plain", ApiKey.Scope.READ), saved_key("big", ApiKey.Scope.READ, budget=0)
    body_of(client, HOURS + DAY.format(2, 4), 202)
    body_of(client, MINUTES + DAY.format(2, 4), 202, **{"X-API-Key": plain})
    assert body_of(client, MINUTES + DAY.format(5, 6), **{"X-API-Key": plain})["request"]["id"] is None
    assert spent() == {"address 127.0.0.1": 1, f"key {plain[3:11]}": 2}
    body_of(client, MINUTES + DAY.format(5, 9), 202, **{"X-API-Key": big})


def backfill(client: Client, **headers: str) -> Any:
    body = {"market": SYMBOL, "timeframe": "1m", "from": "2026-11-02", "to": "2026-11-04"}
    return client.post("/api/v1/backfill", json.dumps(body), "application/json", headers=headers)


def test_a_backfill_beyond_the_budget_is_429_until_midnight(
    client: Client, market: Market, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_BUDGET_PER_KEY = 1
    text = saved_key("writer", ApiKey.Scope.WRITE)
    monkeypatch.setattr(quota, "provider_now", lambda: datetime(2026, 11, 25, 23, 0, 0, 1, tzinfo=UTC))
    refused = backfill(client, **{"X-API-Key": text})
    assert (refused.status_code, refused["Retry-After"]) == (429, "3600")
    assert refused.json()["type"] == "urn:candlekeep:problem:budget-spent"
    assert "budget of 1 " in refused.json()["detail"]
    assert not FetchRequest.objects.exists() and not FetchSpending.objects.exists()


def test_staff_have_no_budget(staff: Client, market: Market, settings: Any) -> None:
    settings.FETCH_BUDGET_PER_ADDRESS = 1
    body_of(staff, MINUTES + DAY.format(5, 9), 202)
    assert backfill(staff, **{"X-CSRFToken": staff.cookies["csrftoken"].value}).status_code == 202
    assert not FetchSpending.objects.exists()


def test_a_new_day_is_a_new_budget_and_days_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)
    monkeypatch.setattr(quota, "provider_now", lambda: now)
    quota.spend("a", 5, 5)
    with pytest.raises(quota.BudgetSpent):
        quota.spend("a", 5, 1)
    now += timedelta(minutes=1)
    quota.spend("a", 5, 1)
    assert quota.forget_spending() == 1
    assert spent() == {"a": 1}


@pytest.mark.django_db(transaction=True)
def test_askers_at_once_spend_exactly_the_budget_and_what_is_rolled_back_is_not_spent() -> None:
    def spend(number: int) -> bool:
        try:
            with transaction.atomic():
                quota.spend("a", 5, 1)
                if number % 2:
                    raise quota.BudgetSpent(1, 0, 5)
            return True
        except quota.BudgetSpent:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(spend, range(20))) == 5
    assert spent() == {"a": 5}
