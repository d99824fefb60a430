"""The page of one market: found by any spelling, with its feed, its trades and how it compares."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from dashboard.market_facts import latency_of
from datastore.models import CandleDifference, Market, Reconciliation
from datastore.reference.markets import ensure_markets
from datastore.timeframes.intervals import moment
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, SECOND, opened, store, trade, watermark

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def market(provider_time: ProviderTime) -> Market:
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + MINUTE)
    trades = [trade(n, NOON + n * SECOND, f"6400{n}.50", received_at=NOON + n * SECOND + n * 1000) for n in (2, 3, 4)]
    store(opened(1, NOON), *trades, watermark(5, NOON + MINUTE))
    return market


def test_any_spelling_leads_to_the_market(market: Market, client: Client) -> None:
    assert client.get("/markets/BTCUSD?timeframe=1h").headers["Location"] == f"/markets/{BTC}?timeframe=1h"
    assert client.get(f"/markets/{BTC}").status_code == 200


def test_an_unknown_market_gets_a_page_in_words(market: Market, client: Client) -> None:
    answer = client.get("/markets/coinbase:NOPE-USD")
    assert answer.status_code == 404 and "There is no market" in answer.content.decode()


@pytest.mark.parametrize(("asked", "pressed"), [("5m", "5m"), ("7m", "1m"), ("", "1m")])
def test_the_address_names_the_timeframe(market: Market, client: Client, asked: str, pressed: str) -> None:
    text = client.get(f"/markets/{BTC}?timeframe={asked}").content.decode()
    assert re.findall(r'data-timeframe="(\w+)" data-seconds="\d+" aria-pressed="true"', text) == [pressed]


def test_beside_the_chart_are_trades_with_all_digits_and_how_late_they_came(
    market: Market, client: Client, provider_time: ProviderTime
) -> None:
    text = client.get(f"/markets/{BTC}?part=side").content.decode()
    assert re.findall(r"6400\d\.5\b", text) == ["64004.5", "64003.5", "64002.5"]
    late = latency_of(market, moment(NOON + MINUTE))
    assert late is not None and (late.trades, late.median, late.slowest) == (3, 3.0, 4.0)
    assert latency_of(market, moment(NOON + 5 * MINUTE)) is None


def test_a_difference_to_the_provider_is_shown_with_both_candles(market: Market, client: Client) -> None:
    start = moment(NOON)
    span = {"market": market, "resolution": 60, "start": start, "stop": start + timedelta(minutes=10)}
    compared = Reconciliation.objects.create(compared=10, different=1, **span)
    CandleDifference.objects.create(reconciliation=compared, open_time=start, ours=["1", "2"], theirs=["1", "3"])
    text = client.get(f"/markets/{BTC}?part=side").content.decode()
    assert "1 of 10 minutes differ" in text and f"{start:%Y-%m-%d %H:%M}" in text


def test_the_part_beside_the_chart_costs_a_fixed_number_of_statements(
    market: Market, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get(f"/markets/{BTC}?part=side")
    with django_assert_num_queries(23):  # 14 of them look for alerts, at most once a second for all pages
        client.get(f"/markets/{BTC}?part=side")
