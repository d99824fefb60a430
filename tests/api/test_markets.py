from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from config.monitoring.status import overview
from datastore.models import Market
from datastore.quality.freshness import feed_state
from datastore.reference.markets import ensure_markets
from tests.support.api.rows import SYMBOL, Feed, at, body_of
from tests.support.datastore.records import store


def test_a_market_that_trades_is_shown_with_its_data_and_freshness(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1, "100.50"), feed.trade(61, "101.2500"), feed.watermark(590))
    shown = body_of(client, f"/api/v1/markets/{SYMBOL}")
    assert (shown["market"], shown["exchange"], shown["base"], shown["quote"]) == (SYMBOL, "coinbase", "BTC", "USD")
    assert (shown["first"], shown["newest"]) == (at(0) // 1000, at(60) // 1000)
    assert shown["last_price"] == "101.25"
    assert shown["live_until"] == at(590) // 1000
    assert shown["freshness"] == pytest.approx(shown["server_time"] - shown["live_until"], abs=2000)
    assert shown["version"] > 0
    assert shown["simulated"] is True


def test_a_market_without_any_data_says_so(client: Client, market: Market) -> None:
    shown = body_of(client, "/api/v1/markets/coinbase:ETH-USD")
    empty = {name: shown[name] for name in ("first", "newest", "last_price", "live_until", "freshness")}
    assert set(empty.values()) == {None}
    assert shown["feed"] == "none"


def test_a_market_that_the_provider_refuses_says_why_and_since_when(client: Client, market: Market) -> None:
    assert body_of(client, f"/api/v1/markets/{SYMBOL}")["refusal"] is None
    since = datetime(2026, 11, 1, 12, tzinfo=UTC)
    Market.objects.filter(symbol=SYMBOL).update(refusal="INVALID_SUB", refused_since=since)
    shown = body_of(client, f"/api/v1/markets/{SYMBOL}")
    assert (shown["refusal"], shown["refused_since"]) == ("INVALID_SUB", since.timestamp() * 1000)
    assert "since 2026-11-01 12:00:00: INVALID_SUB" in overview(160)


def test_status_counts_the_markets_that_were_only_asked_for(client: Client, market: Market) -> None:
    assert "not followed" not in overview(160)
    Market.objects.exclude(symbol=SYMBOL).update(followed=False)
    assert "2 more, not followed" in overview(160)


def test_the_list_shows_what_each_market_s_own_page_shows(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1, "100"), feed.watermark(60))
    listed = body_of(client, "/api/v1/markets")["markets"]
    assert [row["market"] for row in listed] == [SYMBOL, "coinbase:ETH-USD", "kraken:BTC-USD"]
    single = body_of(client, f"/api/v1/markets/{SYMBOL}")
    moving = {"freshness", "watermark"}
    assert set(listed[0]) <= set(single)
    assert {name: single[name] for name in listed[0] if name not in moving} == {
        name: value for name, value in listed[0].items() if name not in moving
    }


def test_many_markets_cost_no_more_queries_than_one(
    client: Client, market: Market, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ensure_markets([f"kraken:A{n}-EUR" for n in range(30)])
    with django_assert_num_queries(3):  # provider, its time, the markets
        assert len(body_of(client, "/api/v1/markets")["markets"]) == 33


@pytest.mark.parametrize("asked", ["ETH-USD", "eth/usd", "COINBASE:ETHUSD"])
def test_a_market_is_found_by_any_spelling(client: Client, market: Market, asked: str) -> None:
    assert body_of(client, f"/api/v1/markets/{asked}")["market"] == "coinbase:ETH-USD"


def test_a_spelling_of_two_markets_names_both(client: Client, market: Market) -> None:
    (sentence,) = body_of(client, "/api/v1/markets/BTC-USD", 400)["errors"]["market"]
    assert "coinbase:BTC-USD, kraken:BTC-USD" in sentence


@pytest.mark.parametrize("asked", ["coinbase:BTC-USDT", "%00", "%ff", "a" * 300])
def test_an_unknown_market_is_404(client: Client, market: Market, asked: str) -> None:
    assert body_of(client, f"/api/v1/markets/{asked}", 404)["type"] == "urn:candlekeep:problem:unknown-market"


def test_a_feed_is_live_while_it_is_open_and_fresh() -> None:
    patience = int(settings.STALE_AFTER * 1000)
    assert feed_state(True, patience) == "live"
    assert feed_state(True, patience + 1) == "stale"
    assert feed_state(False, 0) == "stale"
    assert feed_state(False, None) == "none"
