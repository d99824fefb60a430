"""A venue's own view of the invented trades: ids without a hole, aggregates that add up, candles of any length."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.market import LISTED_SINCE_HOUR, Market
from simulator.pairs import Pair
from simulator.replay import Recording, Replay
from simulator.trades import MINUTE_NS, SECOND_NS, Source, join, roll_up
from simulator.venues.candles import bar_of, candles
from simulator.venues.ledger import AggregateLedger, Ledger
from tests.support.examples import examples

BUSY, THIN = (Market(Pair.parse(name), seed=1) for name in ("binance:BTC-USDT", "kraken:LTC-USD"))
START = 1_762_795_440_000_000_000
TIMES = [0, 0, 0, 300, 300, 61 * 10**9, 61 * 10**9 + 7, 190 * 10**9]  # ns after START
patient = examples(50)
minutes = st.integers(LISTED_SINCE_HOUR * 60, LISTED_SINCE_HOUR * 60 + 6_000_000)
markets = st.sampled_from([BUSY, THIN])


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    lines = ["time_ns,trade_id,price,amount,side"]
    lines += [
        f"{START + at},{100 + number},{10 + number // 2}.5,0.00000{number + 1},{'sell' if number > 1 else 'buy'}"
        for number, at in enumerate(TIMES)
    ]
    (tmp_path / "trades.csv").write_text("\n".join(lines))
    return Replay(BUSY.pair, Recording(tmp_path / "trades.csv"), shift=0)


@patient
@given(markets, minutes)
def test_a_minute_has_the_trades_that_cryptocompare_has_of_it(market: Market, minute: int) -> None:
    rows = Ledger(market).between(minute * MINUTE_NS - 1, (minute + 1) * MINUTE_NS - 1)
    trades = market.trades(minute)
    assert [(row.id, row.ts, row.sell, row.price, row.amount) for row in rows] == [
        (int(trade.id), trade.ts, trade.sell, trade.price, trade.amount) for trade in trades
    ]
    assert all(row.first == row.last == row.id for row in rows)


@patient
@given(markets, minutes)
def test_ids_have_no_hole_over_minutes_and_hours(market: Market, minute: int) -> None:
    start = minute // 60 * 60 * MINUTE_NS
    for ledger in (Ledger(market), AggregateLedger(market)):
        rows = ledger.between(start - 5 * MINUTE_NS, start + 5 * MINUTE_NS)
        assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id + len(rows))) if rows else True
        assert all(after.first == before.last + 1 for before, after in itertools.pairwise(rows))
        assert all(earlier.ts <= later.ts for earlier, later in itertools.pairwise(rows))


@patient
@given(minutes)
def test_an_aggregate_adds_up_trades_of_one_time_side_and_price(minute: int) -> None:
    single = {row.id: row for row in Ledger(BUSY).between(minute * MINUTE_NS - 1, (minute + 1) * MINUTE_NS - 1)}
    merged = AggregateLedger(BUSY).between(minute * MINUTE_NS - 1, (minute + 1) * MINUTE_NS - 1)
    assert any(row.last > row.first for row in merged)
    for row in merged:
        inside = [single[id] for id in range(row.first, row.last + 1)]
        assert {(each.ts, each.sell, each.price) for each in inside} == {(row.ts, row.sell, row.price)}
        assert row.amount == sum(each.amount for each in inside)
    assert sum(row.last - row.first + 1 for row in merged) == len(single)


@patient
@given(markets, minutes, st.integers(0, MINUTE_NS))
def test_any_row_is_found_by_its_id_and_its_time(market: Market, minute: int, within: int) -> None:
    for ledger in (Ledger(market), AggregateLedger(market)):
        stop = ledger.count(minute * MINUTE_NS + within)
        if stop:
            (row,) = ledger.rows(stop - 1, stop)
            assert row.ts <= minute * MINUTE_NS + within
            assert ledger.number_of(row.id) == stop - 1
            assert ledger.rows(stop, stop + 1)[0].ts > minute * MINUTE_NS + within


def test_nothing_is_known_before_the_first_trade() -> None:
    for ledger in (Ledger(BUSY), AggregateLedger(BUSY)):
        assert ledger.count(LISTED_SINCE_HOUR * 60 * MINUTE_NS - 1) == 0
        assert ledger.number_of(0) == 0 and ledger.rows(0, 0) == []


def test_a_recording_keeps_its_ids_and_merges_what_a_venue_would(replay: Replay) -> None:
    ledger, merged = Ledger(replay), AggregateLedger(replay)
    assert [row.id for row in ledger.between(0, START * 2)] == list(range(100, 108))
    assert ledger.count(START) == 3 and ledger.number_of(103) == 3
    assert [(row.id, row.first, row.last) for row in merged.between(0, START * 2)] == [
        (1, 100, 101), (2, 102, 102), (3, 103, 103), (4, 104, 104), (5, 105, 105), (6, 106, 106), (7, 107, 107),
    ]  # fmt: skip


KINDS: list[tuple[Source, int]] = [(BUSY, 60), (BUSY, 300), (THIN, 3600), (THIN, 86_400)]


@patient
@given(st.sampled_from(KINDS), minutes, st.integers(0, 1200))
def test_a_candle_has_the_trades_known_when_it_is_asked_for(kind: tuple[Source, int], minute: int, late: int) -> None:
    source, size = kind
    start = minute * 60 // size * size
    now = start * SECOND_NS + late * size * 10**6 - 1  # in the bucket, or a while after it
    last = min(now // MINUTE_NS, (start + size) // 60 - 1)
    known = [trade for at in range(start // 60, last + 1) for trade in source.part(at, 0, 10**6) if trade.ts <= now]
    assert bar_of(source, start, size, now) == roll_up(known)


def test_candles_of_a_week_are_the_sum_of_its_days() -> None:
    monday = LISTED_SINCE_HOUR * 3600 + 70 * 86_400
    (week,) = candles(BUSY, 7 * 86_400, range(monday, monday + 1), (monday + 90 * 86_400) * SECOND_NS)
    assert week.bar == join(BUSY.day(monday // 86_400 + day) for day in range(7))
    assert week.before == (BUSY.bar(monday // 60 - 1) or week.bar).close  # type: ignore[union-attr]


@patient
@given(minutes)
def test_a_quote_volume_loses_the_digits_that_the_venue_cuts_off(minute: int) -> None:
    trades = BUSY.trades(minute)
    unit = 10 ** (BUSY.price_places + BUSY.amount_places - 8)
    assert BUSY.cut_quote_volume(minute, 8) == sum(trade.price * trade.amount // unit for trade in trades)
