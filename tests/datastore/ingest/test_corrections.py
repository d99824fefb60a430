"""Candles that change after they were closed with proof that they were whole: counted by themselves, and shown."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.ingest.live_write import cancel
from datastore.models import Candle, Market
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from tests.support.datastore.answers import answered, candle
from tests.support.datastore.answers import store as store_answer
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
    BTC,
    MINUTE,
    NOON,
    SECOND,
    closed,
    micros,
    moment,
    opened,
    store,
    trade,
    watermark,
)

pytestmark = pytest.mark.django_db
HOUR = 60 * MINUTE


@pytest.fixture
def market(provider_time: ProviderTime) -> Market:
    """A market whose feed is proven for two hours, with a trade in the first minute and one in the third."""
    provider_time.set(NOON + 2 * HOUR + MINUTE)
    (found,) = ensure_markets([BTC])
    store(opened(1, NOON), trade(2, NOON + SECOND), trade(3, NOON + 2 * SECOND), trade(4, NOON + 3 * MINUTE))
    store(watermark(5, NOON + 2 * HOUR))
    return found


def stored(resolution: int) -> dict[int, tuple[int, int]]:
    """Return revision and corrections of the stored candles, by their start in minutes after noon."""
    rows = Candle.objects.filter(resolution=resolution)
    return {(micros(one.open_time) - NOON) // MINUTE: (one.revision, one.corrections) for one in rows}


def corrected(market: Market, timeframe: str = "1m") -> list[tuple[int, int]]:
    """Return what an answer of two hours says, in minutes after noon."""
    series = read_series(market, timeframe, moment(NOON), moment(NOON + 2 * HOUR))
    return [((time * 1000 - NOON) // MINUTE, changes) for time, changes in series.corrected]


def test_changes_before_the_close_are_no_corrections(market: Market) -> None:
    store(trade(6, NOON + 2 * HOUR + SECOND), watermark(7, NOON + 2 * HOUR + 2 * SECOND))
    store(trade(8, NOON + 2 * HOUR + 3 * SECOND))
    assert stored(60) == {0: (0, 0), 3: (0, 0), 120: (1, 0)}
    assert (stored(3600), corrected(market)) == ({0: (0, 0), 120: (1, 0)}, [])


def test_a_late_trade_corrects_its_minute_and_its_hour_but_not_the_day_that_goes_on(market: Market) -> None:
    store(trade(6, NOON + 3 * SECOND), trade(7, NOON + 4 * SECOND))  # one change: one batch
    store(trade(8, NOON + 5 * SECOND))
    assert (stored(60)[0], stored(3600)[0], stored(86400)) == ((2, 2), (2, 2), {-720: (2, 0)})
    assert (corrected(market), corrected(market, "5m"), corrected(market, "1h")) == ([(0, 2)], [(0, 2)], [(0, 2)])


def test_a_minute_that_was_proven_quiet_is_corrected_by_its_first_trade(market: Market) -> None:
    store(trade(6, NOON + 7 * MINUTE))
    assert stored(60)[7] == (0, 1)
    assert (corrected(market), corrected(market, "5m")) == ([(7, 1)], [(5, 1)])


def test_a_trade_that_is_taken_back_corrects_too(market: Market) -> None:
    assert cancel(market, moment(NOON + 2 * SECOND), "t3")
    assert corrected(market) == [(0, 1)]


def test_what_fills_a_gap_is_no_correction(market: Market) -> None:
    store(closed(6, NOON + 2 * HOUR, certain=NOON + 2 * MINUTE))
    store(trade(7, NOON + 3 * MINUTE + SECOND), trade(8, NOON + 4 * MINUTE))
    store(trade(9, NOON + 3 * MINUTE + 2 * SECOND), trade(10, NOON + 30 * SECOND))
    assert {at: changes for at, (_, changes) in stored(60).items()} == {0: 1, 3: 0, 4: 0}
    assert corrected(market) == [(0, 1)]


def test_a_candle_of_the_providers_is_corrected_where_it_is_shown(market: Market) -> None:
    early, held = NOON - 10 * MINUTE, NOON + 3 * MINUTE
    store_answer(candle(early), candle(held), answered(early, held + MINUTE))
    store_answer(candle(early, "60"), candle(held, "60"), answered(early, held + MINUTE))
    series = read_series(market, "1m", moment(NOON - 30 * MINUTE), moment(NOON + 30 * MINUTE))
    assert series.corrected == [(early // 1000, 1)]  # the other minute is ours


def test_an_hour_of_both_is_corrected_with_what_it_is_made_of(market: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 3 * HOUR + 5 * MINUTE)
    late = NOON + 2 * HOUR + 30 * MINUTE
    store(closed(6, NOON + 2 * HOUR, start=NOON))
    candles = [candle(NOON + 2 * HOUR + minute * MINUTE) for minute in (3, 4)]
    store_answer(*candles, answered(NOON + 2 * HOUR, late))
    again: dict[str, Any] = {"feed": "again"}
    store(opened(1, late, **again), trade(2, late + SECOND, **again), watermark(3, NOON + 3 * HOUR, late, **again))
    whole = (moment(NOON + 2 * HOUR), moment(NOON + 3 * HOUR))

    def of_the_hour() -> list[int]:
        series = read_series(market, "1h", *whole)
        assert [segment.state for segment in series.segments] == ["merged"]
        return [changes for _, changes in series.corrected]

    assert of_the_hour() == []
    store(trade(4, late + 2 * SECOND, **again))
    assert of_the_hour() == [1]
    store_answer(candle(NOON + 2 * HOUR + 3 * MINUTE, "60"))
    assert of_the_hour() == [2]
    assert stored(86400)[-720][1] == 0, "the day goes on"
