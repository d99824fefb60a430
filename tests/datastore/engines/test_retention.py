"""Trades go by whole days, and the market says from where on it still has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from datastore.coverage.feed_progress import note_acknowledged, note_read
from datastore.engines import retention
from datastore.engines.retention import delete_old_trades, forget_old_feeds
from datastore.ingest.live_write import digest, rebuild, store_live
from datastore.models import Candle, Feed, FeedPosition, Market, Tick
from datastore.reference import provider_clock
from datastore.reference.markets import ensure_markets
from datastore.tasks import verify_market
from tests.support.datastore.records import BTC, FEED, NOON, SECOND, opened, store, trade

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
DAY_US = 86_400 * 1_000_000


@pytest.fixture
def market() -> Market:
    """Return a market with a trade at noon of each of five days."""
    from django.db import transaction

    found = ensure_markets([BTC])[0]
    with transaction.atomic():
        store_live([opened(1, NOON), *[trade(day + 2, NOON + day * DAY_US) for day in range(5)]])
    return found


def noon() -> datetime:
    return datetime.fromtimestamp(NOON / 1_000_000, UTC)


def days_kept() -> list[int]:
    return [(ts - noon()).days for ts in Tick.objects.order_by("ts").values_list("ts", flat=True)]


def test_trades_of_days_that_are_not_kept_go_and_all_candles_stay(market: Market) -> None:
    candles = Candle.objects.count()
    before = digest(market)
    assert delete_old_trades(market, noon() + 4 * DAY, days=2) == 2
    assert days_kept() == [2, 3, 4]
    market.refresh_from_db()
    assert market.ticks_from == noon().replace(hour=0) + 2 * DAY
    assert (Candle.objects.count(), digest(market)) == (candles, before)


def test_trades_go_in_slices_and_never_more_than_are_old(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE_TRADES", 2)
    store(*(trade(n, NOON + 9 * SECOND, id=f"alike {n}") for n in range(10, 15)))  # more of one time than a slice holds
    assert delete_old_trades(market, noon() + 4 * DAY, days=1) == 8
    assert days_kept() == [3, 4]


def test_a_run_that_was_ended_is_gone_on_with(market: Market) -> None:
    Market.objects.filter(pk=market.pk).update(
        ticks_from=noon().replace(hour=0) + 2 * DAY
    )  # noted, and nothing deleted
    assert delete_old_trades(market, noon() + 4 * DAY, days=2) == 2
    assert days_kept() == [2, 3, 4]


def test_what_is_kept_is_still_proven_and_a_rebuild_leaves_the_rest_alone(market: Market) -> None:
    delete_old_trades(market, noon() + 4 * DAY, days=2)
    assert verify_market(market, noon() - DAY, noon() + 5 * DAY).differences == []
    assert rebuild(market, noon() - DAY, noon() + 5 * DAY) is False


def test_doing_it_again_deletes_nothing_and_never_takes_the_bound_back(market: Market) -> None:
    delete_old_trades(market, noon() + 4 * DAY, days=2)
    assert delete_old_trades(market, noon() + 4 * DAY, days=2) == 0
    assert delete_old_trades(market, noon() + 4 * DAY, days=30) == 0
    market.refresh_from_db()
    assert market.ticks_from == noon().replace(hour=0) + 2 * DAY


def test_a_market_whose_trades_are_all_young_keeps_no_bound(market: Market) -> None:
    assert delete_old_trades(market, noon() + 4 * DAY, days=30) == 0
    market.refresh_from_db()
    assert market.ticks_from is None and len(days_kept()) == 5


def test_feeds_that_ended_long_ago_and_were_read_to_their_end_are_forgotten(market: Market) -> None:
    note_acknowledged(FEED, noon(), markets=[BTC])
    note_read("tick-data", provider_clock.steady_now())
    note_acknowledged("tick-data/two", noon() + 3 * DAY, markets=[BTC])
    assert forget_old_feeds(noon() + 4 * DAY, days=5) == 0
    assert forget_old_feeds(noon() + 4 * DAY, days=2) == 1
    assert list(Feed.objects.values_list("feed", flat=True)) == ["tick-data/two"]
    assert not FeedPosition.objects.exists()


def test_a_feed_whose_records_still_wait_is_not_forgotten(market: Market) -> None:
    note_acknowledged(FEED, noon(), markets=[BTC])
    assert forget_old_feeds(noon() + 90 * DAY, days=2) == 0
    assert FeedPosition.objects.count() == 1


def test_verify_counts_a_candle_that_its_trades_do_not_make(market: Market) -> None:
    Candle.objects.filter(market=market, resolution=60, open_time=noon()).update(volume=17)
    assert len(verify_market(market, noon(), noon() + DAY).differences) == 1
