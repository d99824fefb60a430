"""A feed that is dead for a day: everything that shows its age says a day, and nothing of it is green."""

from __future__ import annotations

import re

import pytest
from django.db.models.functions import Now
from django.test import Client

from config.monitoring.status import overview
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from ingestion.models import Producer
from tests.support.api.metrics import scraped, value
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, opened, store, watermark

pytestmark = pytest.mark.django_db(transaction=True)
DAY_S = 86_400
LIST = "/admin/ingestion/producer/"


@pytest.fixture
def market(provider_time: ProviderTime) -> Market:
    """A market whose feed was last proven a day ago, and a live Producer that says nothing of it."""
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + MINUTE)
    store(opened(1, NOON), watermark(2, NOON + MINUTE))
    provider_time.set(NOON + MINUTE + DAY_S * 1_000_000)
    Producer.objects.create(role="producer-live", name="producer-live-1", owner="here:1:1", heartbeat_at=Now())
    return market


def test_status_says_how_long_ago_the_last_instant_was_proven(market: Market) -> None:
    (row,) = [line for line in overview(200).splitlines() if line.startswith(BTC)]
    assert re.search(r"stale +2023-11-15 12:01:00 +24 h", row), row


def test_the_ages_of_the_metrics_grow_without_bound(market: Market, client: Client) -> None:
    found = scraped(client)
    for name in ("watermark_age_seconds", "feed_age_seconds"):
        assert (value(found, name, market=BTC) or 0) >= DAY_S, name


def test_ready_says_that_the_data_is_stale(market: Market, client: Client) -> None:
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["data"]) == (200, "stale"), "it can still answer"


def test_the_page_of_the_markets_says_so_for_the_market_and_for_all(market: Market, client: Client) -> None:
    page = client.get("/").content.decode()
    assert re.search(rf'<tr data-market="{BTC}" data-feed="stale"', page)
    assert re.search(r"<dt>Furthest behind</dt><dd>24 h</dd>", page)
    assert re.search(r'<dt>Alerts</dt><dd class="[a-z]+"><a href="/alerts">', page)


def test_the_api_shows_the_same_age_in_markets_and_tickers(market: Market, client: Client) -> None:
    shown = client.get(f"/api/v1/markets/{BTC}").json()
    (ticker,) = client.get("/api/v1/tickers").json()["tickers"]
    for found in (shown, ticker):
        assert found["freshness"] >= DAY_S * 1000 and found["feed"] == "stale"


def test_the_idle_actor_of_a_dead_feed_is_not_shown_as_well(market: Market, admin_client: Client) -> None:
    page = admin_client.get(LIST).content.decode()
    assert re.search(rf'<span class="actor-badge waiting" title="the feed of {BTC} \(24 h\)">Idle</span>', page)
    Market.objects.update(live_stop=None)
    assert f"the feed of {BTC} (never)" in admin_client.get(LIST).content.decode()


def test_the_admin_shows_how_long_ago_a_market_was_proven(market: Market, admin_client: Client) -> None:
    page = admin_client.get("/admin/datastore/market/").content.decode()
    assert re.search(r'<span class="actor-pulse stale">24 h</span>', page)


def test_a_last_error_has_its_time_and_says_when_it_was_overcome(market: Market, admin_client: Client) -> None:
    with Producer.locked("producer-live-1") as producer:
        producer.fetch_data()
        producer.fetch_failure(reason="the socket was refused")
    (row,) = [line for line in overview(250).splitlines() if "producer-live-1" in line]
    assert re.search(r"\d s ago, not overcome: the socket was refused", row), row
    with Producer.locked("producer-live-1") as producer:
        producer.reset(by="a test")
        assert producer.recovered_at is None, "a reset alone is no success"
        producer.fetch_data()
        producer.data_ready("fixed")
        producer.publish_success()
    (row,) = [line for line in overview(250).splitlines() if "producer-live-1" in line]
    assert re.search(r"\d s ago, overcome \d s ago: the socket was refused", row), row
    assert "overcome" in admin_client.get(LIST).content.decode()
    shown = admin_client.get("/api/v1/actors/producer/producer-live-1").json()
    assert shown["last_error_at"] <= shown["recovered_at"]
