from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import ApiKey, Coverage, DatastoreRequest, DeadLetter, FetchRequest, GapRepair, Market
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
    assert f"{BEGAN + MINUTE:%Y-%m-%d %H:%M:%S}.000" in html  # how far the feed is proven, to the millisecond
    assert str(stored.series) in html


def test_a_refused_market_says_why_in_the_list_and_on_its_page(root: Client, market: Market) -> None:
    Market.objects.filter(pk=market.pk).update(refusal="INVALID_SUB", refused_since=datetime(2026, 11, 1, tzinfo=UTC))
    for html in (page(root, Market), page(root, Market, "change", market.pk)):
        assert "INVALID_SUB" in html and "2026-11-01 00:00:00" in html


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


def test_a_final_gap_is_asked_for_again_from_its_list(root: Client, market: Market) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    final = [
        GapRepair.objects.create(
            market=market,
            resolution=60,
            start=start + n * MINUTE,
            stop=start + (n + 1) * MINUTE,
            reason="no",
            final=n < 2,
        )
        for n in range(3)
    ]
    chosen = {"action": "ask_again", "_selected_action": [gap.pk for gap in final]}
    response = root.post(reverse("admin:datastore_gaprepair_changelist"), chosen, follow=True)
    assert "Asked for again: 2 final gaps" in response.content.decode()
    assert [gap.final for gap in GapRepair.objects.all()] == [False]
    (request,) = FetchRequest.objects.all()
    assert (request.start, request.stop) == (start, start + 2 * MINUTE)


def test_only_who_may_change_gaps_may_have_them_asked_for(staff: Client, market: Market) -> None:
    ada = User.objects.get(username="ada")
    ada.user_permissions.add(Permission.objects.get(codename="view_gaprepair"))
    GapRepair.objects.create(market=market, resolution=60, start=BEGAN, stop=BEGAN + MINUTE, reason="no", final=True)
    assert "Ask the provider again" not in page(staff, GapRepair)
    ada.user_permissions.add(Permission.objects.get(codename="change_gaprepair"))
    assert "Ask the provider again" in page(staff, GapRepair)
