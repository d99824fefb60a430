"""Claims that were made by a wrong time are taken back to the last instant that was certain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from datastore.backfill import gap_repair
from datastore.coverage.wrong_claims import WRONG_TIME, take_back_future, take_back_since
from datastore.models import Coverage, CoverageChange, FeedPosition, Market
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from tests.support.datastore.counted import SLACK, dealt, proven_by_ids, said
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, SECOND, closed, micros, moment, opened, store, watermark

pytestmark = pytest.mark.django_db


@pytest.fixture
def btc(provider_time: ProviderTime) -> Market:
    """A feed from noon, claimed half an hour beyond 12:10 by a time that was ahead since 12:05."""
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + 40 * MINUTE, certain_until=NOON + 5 * MINUTE)
    store(opened(1, NOON), watermark(2, NOON + 40 * MINUTE))
    provider_time.set(NOON + 10 * MINUTE, certain_until=NOON + 5 * MINUTE)
    market.refresh_from_db()
    return market


def spans() -> list[tuple[float, float, str | None]]:
    """Return the live spans in minutes from noon, with how they ended."""
    found = Coverage.objects.filter(source="live").order_by("start").values_list("start", "stop", "reason")
    return [((micros(a) - NOON) / MINUTE, (micros(b) - NOON) / MINUTE, why) for a, b, why in found]


def states(market: Market) -> list[tuple[str, int]]:
    series = read_series(market, "1m", moment(NOON), moment(NOON + 10 * MINUTE))
    return [(one.state, (one.stop - one.start) // timedelta(minutes=1)) for one in series.segments]


def test_what_was_claimed_since_the_time_was_certain_goes(btc: Market) -> None:
    version = btc.version
    assert take_back_future() == [btc.pk]
    assert spans() == [(0, 5, WRONG_TIME)]
    btc.refresh_from_db()
    assert btc.version == version + 1
    assert btc.live_stop == moment(NOON + 5 * MINUTE)
    assert btc.watermark is not None and btc.watermark < moment(NOON + 9 * MINUTE)
    assert CoverageChange.objects.filter(version=version + 1, start=moment(NOON + 5 * MINUTE)).exists()
    assert states(btc)[:2] == [("live", 5), ("gap", 3)]
    assert take_back_future() == []


def test_the_feed_goes_on_with_a_span_of_its_own(btc: Market) -> None:
    take_back_future()
    store(watermark(3, NOON + 12 * MINUTE, seen=NOON + 12 * MINUTE), watermark(4, NOON + 13 * MINUTE))
    assert spans() == [(0, 5, WRONG_TIME), (12, 13, None)]
    assert FeedPosition.objects.get().last_n == 4


def test_without_a_time_that_was_certain_the_whole_span_goes(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 10 * MINUTE)
    assert take_back_future() == [btc.pk]
    assert spans() == []
    btc.refresh_from_db()
    assert btc.live_stop is None


def test_a_cut_inside_what_was_claimed_is_a_gap(btc: Market, provider_time: ProviderTime) -> None:
    store(closed(3, NOON + 40 * MINUTE, "socket lost", NOON))
    provider_time.set(NOON + 30 * MINUTE, certain_until=NOON + 5 * MINUTE)
    take_back_future()
    store(opened(1, NOON + 20 * MINUTE, feed="tick-data/two"), watermark(2, NOON + 30 * MINUTE, feed="tick-data/two"))
    assert spans() == [(0, 5, WRONG_TIME), (20, 30, None)]


def test_the_gap_scan_takes_back_what_a_late_record_claims(btc: Market) -> None:
    Market.objects.update(followed=True)
    gap_repair.scan()
    assert spans() == [(0, 5, WRONG_TIME)]


def test_a_watermark_that_only_waited_in_a_wrong_time_goes_back(provider_time: ProviderTime) -> None:
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON)
    store(opened(1, NOON - MINUTE), watermark(2, NOON - 30 * SECOND, NOON - MINUTE))
    provider_time.set(NOON + 60 * MINUTE)
    store(watermark(3, NOON - 20 * SECOND, NOON - MINUTE))
    provider_time.set(NOON + MINUTE)
    assert take_back_future() == [market.pk]
    market.refresh_from_db()
    assert market.watermark == moment(NOON - 20 * SECOND)
    assert spans() == [(-1, -1 / 3, None)]


def test_claims_within_the_providers_time_stay(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 41 * MINUTE)
    assert take_back_future() == []
    assert spans() == [(0, 40, None)]
    assert take_back_since(moment(NOON + 50 * MINUTE)) == []


def test_what_ids_prove_outlasts_a_wrong_clock_and_a_statement_of_that_time_does_not(
    provider_time: ProviderTime,
) -> None:
    """The provider's time was half an hour ahead: trades say when they were made, the venue's word came too early."""
    market = ensure_markets(["kraken:BTC-EUR"])[0]
    Market.objects.update(provider="kraken")
    provider_time.set(NOON + 30 * MINUTE)
    where: dict[str, Any] = {"market": market.symbol}
    store(dealt(1, **where), dealt(2, NOON + 5 * MINUTE, n=2, **where), said(2, NOON + 29 * MINUTE, 3, **where))
    provider_time.set(NOON + 8 * MINUTE, certain_until=NOON + 7 * MINUTE)
    assert take_back_future() == [market.pk]
    assert proven_by_ids(market) == [(SECOND + SLACK, 7 * MINUTE - 2 * SLACK)]
    after = Market.objects.get()
    assert after.live_stop == moment(NOON + 7 * MINUTE - 2 * SLACK)
    assert take_back_future() == []
