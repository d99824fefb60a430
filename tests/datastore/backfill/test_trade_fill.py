"""Trades that are missing by their ids are asked for once, by their ids, until they are stored or cannot be had."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from actor_runtime.steady_time import SteadyNow
from datastore.backfill import fetch_queue, gap_repair
from datastore.backfill.completion import MAX_SHORT_ANSWERS
from datastore.backfill.trade_fill import (
    RETRY_FAILED_FILL_AFTER,
    bounds_of_fill,
    request_fills,
    request_newest_trades,
    settle_fills,
)
from datastore.models import FetchRequest, Market
from datastore.reference.markets import ensure_markets, unfollow
from datastore.reference.provider_clock import known_times, steady_now
from datastore.series.reader import read_series
from tests.support.datastore.counted import counting, dealt
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON, SECOND, moment, store

__all__ = ["counting"]
pytestmark = pytest.mark.django_db
State = FetchRequest.State
WORKER = "producer-history-1@here"


def asked() -> list[tuple[int | None, int | None]]:
    return list(
        FetchRequest.objects.filter(resolution=FetchRequest.TRADES).order_by("id").values_list("first_id", "last_id")
    )


def begun(request: FetchRequest) -> FetchRequest:
    FetchRequest.objects.filter(pk=request.pk).update(next_try=None)
    started = fetch_queue.start(request.pk, WORKER)
    assert started is not None
    return started


def published(request: FetchRequest) -> None:
    begun(request)
    assert fetch_queue.mark_published(request.pk, WORKER)


@pytest.fixture
def hole(counting: Market, provider_time: ProviderTime) -> Market:
    """Trades 3 to 5 are missing, one each second after noon."""
    provider_time.set(NOON + 5 * MINUTE)
    store(dealt(1, n=1), dealt(2, n=2), dealt(6, n=3), dealt(7, n=4))
    return counting


def test_a_hole_is_asked_for_once_by_its_ids(hole: Market) -> None:
    (request,) = request_fills([hole.pk])
    assert (request.first_id, request.last_id, request.purpose) == (3, 5, FetchRequest.Purpose.GAP)
    assert request_fills() == request_fills([hole.pk]) == []
    assert fetch_queue.due(9) == [], "the trades may still be on their way"
    found = bounds_of_fill(request)
    assert found is not None and found.missing == 3
    assert found.after is not None and (found.after.id, found.after.ts) == ("2", moment(NOON + 2 * SECOND))
    assert found.before is not None and (found.before.id, found.before.first) == ("6", 6)


def test_near_holes_are_one_request_and_far_ones_are_not(counting: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 60 * MINUTE)
    far = 6_000
    store(dealt(1, n=1), dealt(3, n=2), dealt(5, n=3), dealt(far, NOON + 30 * MINUTE, n=4))
    request_fills()
    assert asked() == [(2, 4), (6, far - 1)]


def test_what_the_feed_brings_meanwhile_is_left_out(hole: Market) -> None:
    (request,) = request_fills()
    store(dealt(3, feed="tick-data/two", n=1))
    found = bounds_of_fill(request)
    assert found is not None and (found.missing, found.after and found.after.last) == (2, 3)
    store(dealt(4, feed="tick-data/two", n=2), dealt(5, feed="tick-data/two", n=3))
    assert bounds_of_fill(request) is None


def test_a_fill_ends_when_its_trades_are_stored_and_not_before(hole: Market) -> None:
    (request,) = request_fills()
    published(request)
    assert settle_fills(steady_now() - timedelta(seconds=60)) == 0, "the topic was not read that far"
    assert settle_fills(steady_now()) == 1
    request.refresh_from_db()
    assert (request.state, request.error) == (State.QUEUED, "the answer left out 3 trades")
    store(*[dealt(id, feed="tick-data/fill", n=id) for id in (1, 2, 3, 4, 5)])
    published(request)
    settle_fills(steady_now())
    request.refresh_from_db()
    assert (request.state, request.error) == (State.DONE, None)


def test_an_answer_that_leaves_out_the_same_trades_again_and_again_fails(hole: Market) -> None:
    (request,) = request_fills()
    for _ in range(MAX_SHORT_ANSWERS):
        published(request)
        settle_fills(steady_now())
    request.refresh_from_db()
    assert request.state == State.FAILED


def test_while_trades_are_asked_for_no_candles_are_and_afterwards_they_are(hole: Market) -> None:
    gap_repair.scan()
    (request,) = FetchRequest.objects.filter(resolution=FetchRequest.TRADES)
    covered = FetchRequest.objects.filter(resolution=60, start__lte=moment(NOON + 3 * SECOND), stop__gt=moment(NOON))
    assert not covered.exists()
    series = read_series(hole, "1m", moment(NOON), moment(NOON + MINUTE))
    assert [segment.reason for segment in series.segments] == ["filling: 3 trades missing, ids 3 to 5"]

    begun(request)
    assert fetch_queue.fail_fill(request.pk, WORKER, "the venue no longer has them")
    gap_repair.scan()
    assert covered.exists()
    assert request_fills() == [], "what failed is not asked for again soon"
    long_ago = SteadyNow() - RETRY_FAILED_FILL_AFTER - timedelta(seconds=1)
    FetchRequest.objects.filter(pk=request.pk).update(finished_at=long_ago)
    assert [(one.first_id, one.last_id) for one in request_fills()] == [(3, 5)]


def test_a_market_without_a_feed_is_not_filled(hole: Market) -> None:
    unfollow(hole)
    assert request_fills() == []


def test_a_minute_of_a_venue_that_leaves_trades_out_is_closed_by_a_page(provider_time: ProviderTime) -> None:
    (market,) = ensure_markets(["kraken:BTC-EUR"])
    Market.objects.filter(pk=market.pk).update(provider="kraken")
    provider_time.set(NOON + 30 * SECOND)
    store(*[dealt(id, market="kraken:BTC-EUR", n=id) for id in (1, 2)])
    assert request_newest_trades(known_times()) == [], "its minute is not over"
    provider_time.set(NOON + 61 * SECOND)
    (request,) = request_newest_trades(known_times())
    assert (request.first_id, request.last_id) == (3, None)
    assert request_newest_trades(known_times()) == []
    found = bounds_of_fill(request)
    assert found is not None and found.after is not None and (found.after.id, found.before) == ("2", None)
    published(request)
    settle_fills(steady_now())
    assert FetchRequest.objects.get().state == State.DONE
    assert FetchRequest.objects.filter(stop__gt=F("start")).exists()
