from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django_redis import get_redis_connection

from datastore.models import Coverage, Market
from datastore.reference.markets import ensure_markets
from datastore.requests import endings
from tests.support.api import rows
from tests.support.api.rows import BEGAN, Feed
from tests.support.datastore.records import store


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """Leave no answer and no count of requests for the next test, whose rows have the same names."""
    yield
    endings.unanswered.clear()
    get_redis_connection("default").flushdb()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candlekeep_client.questions.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("candlekeep_client.questions.FETCH_PAUSE_S", 0.01)


@pytest.fixture
def market(db: None) -> Market:
    """BTC-USD at coinbase, of a provider that runs."""
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL])[0]


@pytest.fixture
def five_minutes(market: Market) -> Market:
    """Trades in the minutes 0, 1 and 3, proven from 0 to 5 minutes; minutes 2 and 4 are quiet."""
    feed = Feed()
    store(
        feed.opened(),
        feed.trade(1, "100.10", "0.5", id="a"),
        feed.trade(30.000_001, "99.0", "1", id="b", side=-1),
        feed.trade(61, "101", "2"),
        feed.trade(200, "102.000", "0.00000001"),
        feed.watermark(300),
    )
    return market


@pytest.fixture
def whole(market: Market) -> Market:
    """Trades in nine of the newest minutes; all of today is proven by the feed, and a hundred days by the provider."""
    midnight, now = BEGAN.replace(hour=0, minute=0), (datetime.now(UTC) - BEGAN).total_seconds()
    for resolution in (60, 3600, 86_400):
        span = {"start": midnight - timedelta(days=100), "stop": midnight}
        Coverage.objects.create(market=market, source="provider", resolution=resolution, **span)
    feed, start = Feed(), (midnight - BEGAN).total_seconds()
    trades = (feed.trade(61 * minute, f"{100 + minute}.25", "0.5") for minute in range(9))
    store(feed.opened(start), *trades, feed.watermark(now - 1, start))
    return market
