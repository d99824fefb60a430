"""Trades before the oldest stored one are asked for back to a time, and that is done when all are stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from datastore.backfill import fetch_queue
from datastore.backfill.trade_backfill import (
    CannotBackfill,
    Part,
    estimate,
    missing_parts,
    proven_minutes,
    request_trades,
)
from datastore.backfill.trade_fill import (
    active_fills,
    bounds_of_fill,
    request_fills,
    settle_fills,
)
from datastore.models import FetchRequest, Market, Tick
from datastore.reference.markets import ensure_markets, unfollow
from datastore.reference.provider_clock import steady_now
from tests.support.datastore.counted import counting, dealt
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON, SECOND, moment, store

__all__ = ["counting"]
pytestmark = pytest.mark.django_db
State, Purpose = FetchRequest.State, FetchRequest.Purpose
WORKER = "producer-history-1@here"
DAY = 1440 * MINUTE


def at(seconds: float) -> datetime:
    """Return a time so many seconds after noon."""
    return moment(NOON + round(seconds * SECOND))


def published(request: FetchRequest, first: int | None = None) -> None:
    """Let a job bring the request to its end, and learn with which id it begins."""
    FetchRequest.objects.filter(pk=request.pk).update(next_try=None)
    assert fetch_queue.start(request.pk, WORKER)
    assert fetch_queue.note_pages(request.pk, WORKER, 1, 1, first)
    assert fetch_queue.mark_published(request.pk, WORKER)


@pytest.fixture
def market(counting: Market) -> Market:
    """Trades 100 to 103 and 107 to 109 are stored, one each second after noon."""
    store(*[dealt(id, n=id) for id in (100, 101, 102, 103, 107, 108, 109)])
    return counting


def test_what_is_missing_is_the_holes_and_all_before_the_oldest_trade(market: Market) -> None:
    parts = missing_parts(market, at(0), at(200))
    slack = timedelta(milliseconds=100)
    assert parts == [Part(None, 99, at(0), at(100)), Part(104, 106, at(103) - slack, at(107) + slack)]
    assert missing_parts(market, at(0), at(50)) == parts[:1], "the hole lies behind --to"
    assert missing_parts(market, at(101), at(200)) == parts[1:]
    assert missing_parts(market, at(108), at(200)) == []


def test_it_is_asked_for_once_with_what_is_under_way(market: Market) -> None:
    (hole,) = request_fills()
    made = request_trades(market, at(0), at(200))
    assert [(one.first_id, one.last_id, one.purpose) for one in made] == [
        (None, 99, Purpose.BACKFILL), (hole.first_id, hole.last_id, Purpose.GAP),
    ]  # fmt: skip
    assert [one.pk for one in request_trades(market, at(0), at(200))] == [one.pk for one in made]
    assert request_fills() == []
    with pytest.raises(CannotBackfill, match="Trades back to 2023-11-15 12:00 UTC are being fetched"):
        request_trades(market, at(-60), at(200))


def test_a_market_that_nobody_follows_is_brought_too(market: Market) -> None:
    unfollow(market)
    assert [one.last_id for one in request_trades(market, at(0), at(200))] == [99, 106]


def test_a_backfill_goes_on_below_what_is_stored_and_closes_what_was_lost(market: Market) -> None:
    request, *_ = request_trades(market, at(0), at(102))
    found = bounds_of_fill(request)
    assert found is not None and (found.after, found.since) == (None, at(0))
    assert found.before is not None and found.before.first == 100
    assert found.missing == 100, "one a second, back to noon"
    store(*[dealt(id, n=id, feed="tick-data/two") for id in range(80, 100)])
    found = bounds_of_fill(request)
    assert found is not None and found.before is not None and found.before.first == 80
    store(*[dealt(id, n=id, feed="tick-data/two") for id in range(60, 70)])
    found = bounds_of_fill(request)
    assert found is not None and found.before is not None and found.before.first == 80, "70 to 79 were lost"


def test_once_the_first_id_is_known_it_is_a_fill_by_ids(market: Market) -> None:
    request, *_ = request_trades(market, at(0), at(102))
    published(request, first=40)
    request.refresh_from_db()
    found = bounds_of_fill(request)
    assert found is not None and (found.missing, found.since) == (60, at(0)), "nothing of it is stored yet"
    store(*[dealt(id, n=id, feed="tick-data/two") for id in range(40, 50)])
    found = bounds_of_fill(request)
    assert found is not None and found.missing == 50
    assert found.after is not None and (found.after.last, found.since) == (49, None)
    settle_fills(steady_now())
    request.refresh_from_db()
    assert (request.state, request.error) == (State.QUEUED, "the answer left out 50 trades")
    store(*[dealt(id, n=id, feed="tick-data/two") for id in range(50, 100)])
    published(request)
    settle_fills(steady_now())
    request.refresh_from_db()
    assert request.state == State.DONE
    assert missing_parts(market, at(40), at(102)) == []
    assert proven_minutes(market, at(0), at(120)) == 0
    assert proven_minutes(market, at(60), at(120)) == 0, "104 is missing"
    store(*[dealt(id, n=id, feed="tick-data/two") for id in (*range(30, 40), 104, 105, 106, 130)])
    store(*[dealt(id, n=id, feed="tick-data/three") for id in range(110, 130)])
    assert proven_minutes(market, at(0), at(120)) == 1


def test_the_holes_that_a_killed_backfill_leaves_are_found_by_any_fill(market: Market) -> None:
    request, *_ = request_trades(market, at(0), at(102))
    store(*[dealt(id, n=id, feed="tick-data/two") for id in range(40, 50)])
    FetchRequest.objects.filter(pk=request.pk).update(state=State.FAILED)
    assert [(one.first_id, one.last_id) for one in request_fills()] == [(50, 106)]


def test_older_trades_of_a_market_that_was_away_are_not_gone_through(market: Market) -> None:
    """A stretch of ids long before the time asked for is not the beginning of what is missing."""
    store(dealt(10, NOON - 2 * DAY, n=1, feed="tick-data/old"), dealt(11, NOON - 2 * DAY, n=2, feed="tick-data/old"))
    (part, *_) = missing_parts(market, at(0), at(102))
    assert (part.first, part.last) == (None, 99)
    FetchRequest.objects.all().delete()
    request, *_ = request_trades(market, at(0), at(102))
    published(request, first=60)
    request.refresh_from_db()
    store(*[dealt(id, n=id, feed="tick-data/two") for id in range(60, 100)])
    settle_fills(steady_now())
    request.refresh_from_db()
    assert request.state == State.DONE


def test_a_venue_that_is_asked_by_time_is_asked_a_little_before_it(provider_time: ProviderTime) -> None:
    (market,) = ensure_markets(["kraken:BTC-EUR"])
    Market.objects.filter(pk=market.pk).update(provider="kraken")
    market.refresh_from_db()
    provider_time.set(NOON + 60 * MINUTE)
    store(*[dealt(id, market="kraken:BTC-EUR", n=id) for id in (1000, 1001, 1002)])
    (part,) = missing_parts(market, at(600), at(1003))
    assert at(600 - 101) <= part.start <= at(600 - 49), "about a hundred trades at one a second"


def test_a_fill_whose_lower_end_was_deleted_does_not_reach_back_for_ever(market: Market, settings: Any) -> None:
    """What lies before the kept trades would be refused, whatever the ids say is missing."""
    request = FetchRequest.objects.create(
        market=market,
        resolution=FetchRequest.TRADES,
        first_id=104,
        last_id=106,
        start=at(103),
        stop=at(107),
        purpose=Purpose.GAP,
    )
    Market.objects.filter(pk=market.pk).update(ticks_from=at(105))
    Tick.objects.filter(market=market, ts__lt=at(105)).delete()
    found = bounds_of_fill(FetchRequest.objects.select_related("market").get(pk=request.pk))
    assert found is not None and (found.after, found.since) == (None, at(105))


def test_an_estimate_follows_the_pace_of_the_stored_trades(market: Market, settings: Any) -> None:
    found = estimate(market, missing_parts(market, at(-86_300), at(200)))
    assert 85_000 < found.trades < 88_000
    assert 85 <= found.calls <= 90
    assert found.seconds == found.calls * 0.25
    settings.PROVIDER_CALLS_PER_MINUTE = 6
    assert estimate(market, missing_parts(market, at(-86_300), at(200))).seconds == found.calls * 10


def test_what_cannot_be_brought_is_refused_with_the_way_out(market: Market, settings: Any) -> None:
    with pytest.raises(CannotBackfill, match=r"kept for 30 days \(TICK_RETENTION_DAYS\)"):
        missing_parts(market, at(-31 * 86_400), at(0))
    settings.TICK_RETENTION_DAYS = 60
    assert missing_parts(market, at(-31 * 86_400), at(0))
    Market.objects.filter(pk=market.pk).update(ticks_from=at(-3600))
    market.refresh_from_db()
    with pytest.raises(CannotBackfill, match=r"were deleted \(TICK_RETENTION_DAYS\)"):
        missing_parts(market, at(-7200), at(0))
    with pytest.raises(CannotBackfill, match=r"No trade of coinbase:BTC-USD since --from .* add_market"):
        missing_parts(market, at(300), at(400))
    (none,) = ensure_markets(["coinbase:ETH-USD"])
    with pytest.raises(CannotBackfill, match="No trade of coinbase:ETH-USD"):
        missing_parts(none, at(0), at(100))
    Market.objects.filter(pk=market.pk).update(provider="cryptocompare")
    market.refresh_from_db()
    with pytest.raises(CannotBackfill, match="cryptocompare has no history of trades"):
        missing_parts(market, at(0), at(100))
    assert not active_fills([market.pk]).exists()


def test_more_urgent_requests_of_the_same_provider_are_seen(market: Market) -> None:
    request, *_ = request_trades(market, at(0), at(102))
    assert not fetch_queue.is_busy("coinbase", request.purpose)
    (hole,) = request_fills()
    assert not fetch_queue.is_busy("coinbase", request.purpose), "it is not due yet"
    FetchRequest.objects.filter(pk=hole.pk).update(next_try=None)
    assert fetch_queue.is_busy("coinbase", request.purpose)
    assert not fetch_queue.is_busy("binance", request.purpose)
    published(hole)
    assert not fetch_queue.is_busy("coinbase", request.purpose)
