"""The page of requests: how far each is, what it waits for, how it ended, and what the providers still allow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from coordination.models import Coordinator
from datastore.models import DatastoreRequest, FetchRequest, Market
from datastore.reference.provider_clock import steady_now
from ingestion.history.provider_quota import quota_of
from ingestion.providers.table import configured
from tests.support.api.rows import BEGAN, MINUTE
from tests.support.dashboard.reading import XSS, XSS_SHOWN, shown

pytestmark = pytest.mark.django_db


def fetch(market: Market, **values: Any) -> FetchRequest:
    span = {"resolution": 60, "start": BEGAN, "stop": BEGAN + MINUTE, "purpose": 1}
    return FetchRequest.objects.create(market=market, **{**span, **values})


def test_without_requests_the_page_says_what_makes_one(client: Client, market: Market) -> None:
    page = shown(client, "/requests")
    assert "Nothing is being fetched" in page
    assert "No request has ended yet" in page


def test_a_request_under_way_shows_its_pages_its_end_and_who_has_it(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    held = {"state": "fetching", "worker": "producer-history-1@7", "lease_until": steady_now() + timedelta(minutes=1)}
    one = fetch(market, pages_done=1, pages_total=4, **held)
    FetchRequest.objects.filter(pk=one.pk).update(created_at=timezone.now() - timedelta(minutes=10))
    fetch(market, purpose=3)
    page = shown(client, "/requests")
    assert '<progress max="4" value="1"' in page
    for words in ("1 of 4", "being fetched by producer-history-1", "in 30 min", "waits for a history Producer"):
        assert words in page


def test_without_a_coordinator_a_request_says_that_it_waits_for_one(client: Client, market: Market) -> None:
    fetch(market)
    assert "waits for a Coordinator" in shown(client, "/requests")


def test_the_outcome_of_a_request_can_be_filtered(client: Client, market: Market) -> None:
    fetch(market, state="failed", error="unknown market", finished_at=timezone.now())
    fetch(market, state="done", finished_at=timezone.now())
    assert "unknown market" in shown(client, "/requests?state=failed")
    assert "unknown market" not in shown(client, "/requests?state=done")
    assert "No request ended like that" in shown(client, "/requests?market=kraken")


def test_what_a_provider_still_allows_is_a_bar_for_each_window(client: Client, market: Market) -> None:
    (provider,) = configured()
    quota = quota_of(provider.traits)
    quota.take()
    page = shown(client, "/requests")
    for window, left in quota.remaining().items():
        assert f'aria-label="{left.calls} of {left.limit} calls left"' in page
        assert f"per {window}" in page
    quota.pause(60, "the plan is used up")
    assert "the plan is used up" in shown(client, "/requests")


def test_a_question_that_waits_is_shown_with_its_fetches(client: Client, market: Market) -> None:
    done = fetch(market, state="done", finished_at=timezone.now())
    waiting = DatastoreRequest.State.WAITING_FOR_DATA
    values = {"market": market.symbol, "timeframe": "1m", "fetches": [done.pk, fetch(market).pk], "state": waiting}
    DatastoreRequest.objects.create(name="request-1", **values)
    assert "1 of 2" in shown(client, "/requests")


def test_a_text_of_the_provider_stays_text(client: Client, market: Market) -> None:
    fetch(market, error=XSS)
    fetch(market, state="failed", error=XSS, finished_at=timezone.now())
    page = shown(client, "/requests")
    assert XSS not in page
    assert page.count(XSS_SHOWN) >= 1


def test_the_statements_are_as_many_for_many_requests_and_a_page_has_a_hundred(
    client: Client, market: Market, coordinator: Coordinator, count_statements: Any
) -> None:
    ended = {"state": "done", "finished_at": timezone.now()}
    fetch(market)
    fetch(market, **ended)
    few = count_statements(client, "/requests")
    span = {"market": market, "resolution": 60, "start": BEGAN, "stop": BEGAN + MINUTE, "purpose": 1}
    FetchRequest.objects.bulk_create([FetchRequest(**span), *(FetchRequest(**span, **ended) for _ in range(120))])
    assert count_statements(client, "/requests") == few
    assert shown(client, "/requests").count('<tr id="ended-') == 100
    assert shown(client, "/requests?page=2").count('<tr id="ended-') == 21
