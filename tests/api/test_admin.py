from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import ApiKey, Coverage, DatastoreRequest, DeadLetter, GapRepair, Market
from datastore.reference.markets import ensure_markets
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.admin_pages import page
from tests.support.api.rows import BEGAN, MINUTE, Feed
from tests.support.datastore.records import store


@pytest.fixture
def stored(market: Market) -> Market:
    """A market with two trades of one span."""
    feed = Feed()
    store(
        feed.opened(),
        feed.trade(1, "50000.12345678901234567891", id="first-trade"),
        feed.trade(2, "2"),
        feed.watermark(60),
    )
    return market


def models() -> list[type]:
    return list(apps.get_app_config("datastore").get_models())


def test_every_model_with_a_single_key_is_in_the_admin() -> None:
    single = {model for model in models() if not model._meta.is_composite_pk}  # type: ignore[attr-defined]
    assert {model for model in models() if admin.site.is_registered(model)} == single


def test_every_list_opens_and_nothing_can_be_added(root: Client, stored: Market) -> None:
    for model in models():
        if admin.site.is_registered(model):
            page(root, model)
            if model is ApiKey:
                continue  # made by people: test_keys.py
            add = reverse(f"admin:datastore_{model._meta.model_name}_add")  # type: ignore[attr-defined]
            assert root.get(add).status_code == 403


def test_a_market_s_page_shows_its_newest_rows_to_the_digit(root: Client, stored: Market) -> None:
    html = page(root, Market, "change", stored.pk)
    assert html.count("50000.12345678901234567891") >= 4  # the trade, its minute, hour and day
    assert "first-trade" in html
    assert "tick-data/one" in html
    assert "Minute candles: the newest 1" in html
    assert 'name="_save"' not in html
    assert (BEGAN + MINUTE).isoformat(sep=" ") in html  # how far the feed is proven, with its seconds
    assert str(stored.series) in html


def test_a_market_without_rows_says_so(root: Client, market: Market) -> None:
    assert page(root, Market, "change", market.pk).count("None yet.") >= 5


def test_a_market_that_is_not_there_leads_back_to_the_list(root: Client) -> None:
    assert root.get(reverse("admin:datastore_market_change", args=[999])).status_code == 302


def test_another_market_s_rows_are_not_shown(root: Client, stored: Market) -> None:
    eth = Market.objects.get(symbol="coinbase:ETH-USD")
    assert "first-trade" not in page(root, Market, "change", eth.pk)


def test_nothing_can_be_posted(root: Client, stored: Market) -> None:
    address = reverse("admin:datastore_market_change", args=[stored.pk])
    assert root.post(address, {"symbol": "x:Y-Z"}).status_code == 403
    assert root.post(reverse("admin:datastore_market_delete", args=[stored.pk]), {"post": "yes"}).status_code == 403
    assert Market.objects.filter(symbol=stored.symbol).exists()
    assert Coverage.objects.filter(market=stored).exists()


def test_a_dead_letter_shows_its_bytes_even_where_they_are_no_text(root: Client) -> None:
    store_dead_letters(
        [DeadLetterRecord("tick-data", None, Refusal(RefusalCode.UNREADABLE, "no JSON"), b'{"price": \xff', "1-0")]
    )
    html = page(root, DeadLetter, "change", DeadLetter.objects.get().pk)
    assert "{&quot;price&quot;: \\xff" in html


def test_many_gaps_cost_no_more_queries_than_one(
    root: Client, market: Market, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for made in ensure_markets([f"kraken:A{n}-EUR" for n in range(20)]):
        GapRepair.objects.create(market=made, resolution=60, start=BEGAN, stop=BEGAN + MINUTE, reason="socket lost")
    with django_assert_max_num_queries(10):
        assert page(root, GapRepair).count("socket lost") == 20


def test_a_request_s_page_is_its_chart(root: Client) -> None:
    request = DatastoreRequest.objects.create(name="request-1")
    assert "<svg" in page(root, DatastoreRequest, "change", request.pk)
