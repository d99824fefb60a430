"""Invented rows: which buckets get one, and what is in it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.models import Candle, Market, ProviderCandle
from datastore.reference.markets import ensure_markets
from datastore.series.reader import Row, read_series
from datastore.series.row_format import CSV, NUMBERS
from datastore.timeframes.timeframe import TIMEFRAMES
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
from tests.support.datastore.reference import ReferenceMarket, next_bucket
from tests.support.datastore.scenes import Scene, fill, near_scenes, numbered, wide_scenes
from tests.support.examples import examples, rolled_back

pytestmark = pytest.mark.django_db
NOTHING = (None,) * 7


@pytest.fixture
def btc(provider_time: ProviderTime) -> Market:
    """Trades in minutes 1 and 3; proven from 0 to 5 and from 7 to 9; the clock is in minute 10."""
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + 10 * MINUTE + 5 * SECOND)
    store(
        opened(1, NOON),
        trade(2, NOON + MINUTE, "10.50"),
        trade(3, NOON + 3 * MINUTE, "11"),
        watermark(4, NOON + 5 * MINUTE),
        closed(5, NOON + 5 * MINUTE),
    )
    store(
        opened(1, NOON + 7 * MINUTE, feed="tick-data/two"),
        watermark(2, NOON + 9 * MINUTE, NOON + 7 * MINUTE, feed="tick-data/two"),
    )
    return market


def invented(row: Row) -> tuple[object, ...]:
    assert row[8] == "fill" and row[10] == 0
    return row[0] - NOON // 1000, *row[1:8], row[9]


def ask(market: Market, how: str, start: int = 0, stop: int = 12, **more: object) -> list[Row]:
    low, high = moment(NOON + start * MINUTE), moment(NOON + stop * MINUTE)
    return read_series(market, "1m", low, high, fill=how, **more).rows  # type: ignore[arg-type]


def test_without_fill_only_what_was_traded_has_a_row(btc: Market) -> None:
    assert [row[0] - NOON // 1000 for row in ask(btc, "none")] == [60_000, 180_000]


def test_null_gives_every_bucket_that_has_begun_a_row(btc: Market) -> None:
    rows = ask(btc, "null")
    assert [row[0] - NOON // 1000 for row in rows] == [60_000 * n for n in range(11)]  # minute 11 has not begun
    assert [row for row in rows if row[8] != "fill"] == ask(btc, "none")
    assert {invented(row)[1:8] for row in rows if row[8] == "fill"} == {NOTHING}
    assert [row[9] for row in rows] == [True] * 9 + [False] * 2


def test_flat_repeats_the_close_in_quiet_buckets_only(btc: Market) -> None:
    rows = ask(btc, "flat")
    assert [row[0] - NOON // 1000 for row in rows] == [60_000 * n for n in range(11)]
    after = ("10.5", "10.5", "10.5", "10.5", "0", "0", 0)
    later = ("11", "11", "11", "11", "0", "0", 0)
    assert [invented(row)[1:8] for row in rows if row[8] == "fill"] == [
        NOTHING,  # before the first trade
        after,  # 2
        later,  # 4
        NOTHING, NOTHING,  # 5 and 6: a hole
        later, later,  # 7 and 8
        NOTHING, NOTHING,  # 9 is over but not known yet, 10 is open
    ]  # fmt: skip


def test_the_close_before_the_range_is_found(btc: Market) -> None:
    assert invented(ask(btc, "flat", 4, 5)[0])[1:5] == ("11",) * 4
    assert [invented(row)[4] for row in ask(btc, "flat", 7, 9)] == ["11", "11"]


def test_a_stored_row_that_the_series_does_not_show_is_no_close(btc: Market) -> None:
    ProviderCandle.objects.create(
        market=btc, resolution=60, open_time=moment(NOON + 4 * MINUTE), version=1,
        open=99, high=99, low=99, close=99, volume=1, quote_volume=99,
    )  # fmt: skip
    assert invented(ask(btc, "flat", 7, 8)[0])[4] == "11"


def test_closed_only_leaves_invented_rows_of_open_buckets_out(btc: Market) -> None:
    assert [row[9] for row in ask(btc, "null", closed_only=True)] == [True] * 9


def test_invented_rows_count_for_nothing(btc: Market) -> None:
    bounds = moment(NOON), moment(NOON + 12 * MINUTE)
    plain, filled = read_series(btc, "1m", *bounds), read_series(btc, "1m", *bounds, fill="flat")
    assert (filled.segments, filled.complete, filled.count) == (plain.segments, plain.complete, plain.count)
    assert filled.count == 2
    assert Candle.objects.filter(market=btc, resolution=60).count() == 2


@pytest.mark.parametrize("timeframe", ["5m", "1h", "1w", "1M"])
def test_every_timeframe_is_filled_bucket_by_bucket(btc: Market, timeframe: str) -> None:
    rows = read_series(btc, timeframe, limit=4, fill="null").rows
    frame = TIMEFRAMES[timeframe]
    assert [frame.after(moment(one[0] * 1000)) for one in rows[:-1]] == [moment(two[0] * 1000) for two in rows[1:]]
    assert len(rows) == 4


def test_invented_rows_have_the_shape_of_the_others(btc: Market) -> None:
    bounds = moment(NOON + 2 * MINUTE), moment(NOON + 4 * MINUTE)
    at = NOON // 1_000_000
    csv = read_series(btc, "1m", *bounds, fill="flat", shape=CSV).text
    assert csv.split("\n") == [
        f"{at + 120}000,10.5,10.5,10.5,10.5,0,0,0,fill,true,0",
        f"{at + 180}000,11,11,11,11,1,11,1,live,true,0",
    ]
    assert read_series(btc, "1m", moment(NOON), bounds[0], fill="null", shape=CSV).text.split("\n")[0] == (
        f"{at}000,,,,,,,,fill,true,0"
    )
    numbers = read_series(btc, "1m", *bounds, fill="flat", shape=NUMBERS).text
    assert numbers.startswith(f'[{at + 120}000,10.5,10.5,10.5,10.5,0,0,0,"fill",true,0]')


@examples(60)
@given(timeframe=st.sampled_from(list(TIMEFRAMES)), scene=st.one_of(wide_scenes(), near_scenes()), data=st.data())
@rolled_back
def test_filling_adds_exactly_the_buckets_without_a_row(
    provider_time: ProviderTime, timeframe: str, scene: Scene, data: st.DataObject
) -> None:
    market = ensure_markets([f"coinbase:F{next(numbered)}-USD"])[0]
    trades = [
        trade(n, ts, str(price), str(amount), market=market.symbol, received_at=ts)
        for n, (ts, price, amount) in enumerate(scene.traded, 1)
    ]
    provider_time.set(NOON - timedelta(days=2) // timedelta(microseconds=1))
    fill(market, ReferenceMarket(scene.now, None, True, trades, scene.live, scene.answers, scene.candles))
    provider_time.set(scene.now)
    low, high = min(scene.bounds), max(scene.bounds)
    bounds = moment(low), moment(min(high, low + 3 * 1440 * MINUTE))
    plain = read_series(market, timeframe, *bounds)
    nulls = read_series(market, timeframe, *bounds, fill="null").rows
    flats = read_series(market, timeframe, *bounds, fill="flat").rows
    assert [row for row in nulls if row[8] != "fill"] == [row for row in flats if row[8] != "fill"] == plain.rows
    begun = []
    for segment in plain.segments:
        at = micros(segment.start)
        while at < micros(segment.stop):
            if segment.reason != "not begun yet":
                begun.append((at, segment.state))
            at = next_bucket(timeframe, at)
    assert [row[0] * 1000 for row in nulls] == [row[0] * 1000 for row in flats] == [at for at, _ in begun]
    states = dict(begun)
    close: str | None = None
    for row in flats:
        proven = states[row[0] * 1000] in ("live", "provider", "merged")
        if row[8] == "fill" and row[4] is not None:
            assert proven and close in (None, row[4])
            assert row[1:4] == (row[4],) * 3 and Decimal(row[5] or 1) == 0
        elif row[8] == "fill":
            assert row[1:8] == NOTHING and not (proven and close)
        close = row[4] or close
