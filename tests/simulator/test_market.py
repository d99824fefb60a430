"""Invented trades: the same each time, contiguous, and exactly what their candles say."""

from __future__ import annotations

import itertools
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.app import compute_days
from simulator.config import Config
from simulator.market import LISTED_SINCE_HOUR, Market
from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.trades import MAX_DISCOVERY_DELAY_NS, MINUTE_NS, SECOND_NS, Bar, Trade, join, roll_up
from tests.support.examples import examples

BUSY, THIN, SECONDS = (Pair.parse(m) for m in ("coinbase:BTC-USD", "kraken:LTC-USD", "bitfinex:ETH-BTC"))
MARKETS = {pair: Market(pair, seed=1) for pair in (BUSY, THIN, SECONDS)}
patient = examples(50)
minutes = st.integers(LISTED_SINCE_HOUR * 60, LISTED_SINCE_HOUR * 60 + 10_000_000)
markets = st.sampled_from(sorted(MARKETS, key=str)).map(MARKETS.__getitem__)


@patient
@given(markets, minutes)
def test_a_candle_is_the_roll_up_of_its_trades(market: Market, minute: int) -> None:
    assert market.bar(minute) == roll_up(market.trades(minute))


@patient
@given(markets, minutes)
def test_another_process_would_draw_the_same_trades(market: Market, minute: int) -> None:
    assert Market(market.pair, seed=1).trades(minute) == market.trades(minute)


def test_a_market_has_no_trades_before_the_day_from_which_it_is_listed() -> None:
    hour = LISTED_SINCE_HOUR + 48
    young, old = Market(BUSY, seed=1, listed=hour), MARKETS[BUSY]
    assert young.day(hour // 24 - 1) is young.hour(hour - 1) is young.bar(hour * 60 - 1) is None
    assert (young.hour(hour), young.day(hour // 24)) == (old.hour(hour), old.day(hour // 24))


def test_another_seed_or_market_draws_other_trades() -> None:
    minute = LISTED_SINCE_HOUR * 60 + 12_345
    trades = [Market(pair, seed).trades(minute) for pair in (BUSY, Pair.parse("kraken:BTC-USD")) for seed in (1, 2)]
    assert all(left != right for i, left in enumerate(trades) for right in trades[:i])


@patient
@given(markets, minutes)
def test_trades_lie_in_their_minute_in_the_order_that_a_platform_sorts_them(market: Market, minute: int) -> None:
    trades = market.trades(minute)
    assert all(trade.ts // MINUTE_NS == minute for trade in trades)
    # A platform sorts by (time, CCSEQ or numeric id); the candle's close must be the last one of that order.
    assert trades == sorted(trades, key=lambda trade: (trade.ts, trade.ccseq or int(trade.id)))


@patient
@given(markets, minutes)
def test_every_trade_is_discovered_once_and_within_the_time_that_candles_wait(market: Market, minute: int) -> None:
    start, end = minute * MINUTE_NS, (minute + 1) * MINUTE_NS
    found = [
        trade for trade in market.between(start - 1, end + MAX_DISCOVERY_DELAY_NS) if trade.ts // MINUTE_NS == minute
    ]
    assert sorted(found, key=_identity) == sorted(market.trades(minute), key=_identity)
    assert all(0 < trade.rts - trade.ts < MAX_DISCOVERY_DELAY_NS for trade in found)


def _identity(trade: Trade) -> tuple[int, int, str]:
    return trade.ts, trade.ccseq or 0, trade.id


@patient
@given(st.sampled_from([BUSY, SECONDS]).map(MARKETS.__getitem__), minutes)
def test_ccseq_rises_by_one_with_each_discovery_over_minutes_and_hours(market: Market, minute: int) -> None:
    start = minute // 60 * 60 * MINUTE_NS
    trades = market.between(start - 2 * MINUTE_NS, start + 2 * MINUTE_NS)
    first = trades[0].ccseq
    assert first is not None
    assert [trade.ccseq for trade in trades] == list(range(first, first + len(trades)))
    assert all(earlier.rts <= later.rts for earlier, later in itertools.pairwise(trades))


@patient
@given(markets, minutes, st.lists(st.integers(0, 3 * MINUTE_NS), min_size=1, max_size=8))
def test_sending_in_any_steps_sends_the_same(market: Market, minute: int, steps: list[int]) -> None:
    edges = [minute * MINUTE_NS, *sorted(minute * MINUTE_NS + step for step in steps)]
    pieces = [trade for left, right in itertools.pairwise(edges) for trade in market.between(left, right)]
    assert pieces == market.between(edges[0], edges[-1])


@patient
@given(markets, minutes, st.integers(0, 60 * SECOND_NS), st.integers(1, 50))
def test_the_newest_trades_are_the_last_discovered(market: Market, minute: int, after: int, count: int) -> None:
    until = (minute + 100) * MINUTE_NS + after
    assert market.newest(count, until) == market.between(until - 60 * MINUTE_NS, until)[-count:]


def test_hours_and_days_are_roll_ups_of_their_minutes() -> None:
    for market in MARKETS.values():
        for since in (-1, 0, 1, 100, 101, 1000, 2500):
            day = LISTED_SINCE_HOUR // 24 + since
            assert market.day(day) == join(market.bar(minute) for minute in range(day * 1440, day * 1440 + 1440))
            assert market.hour(day * 24 + 5) == join(market.bar(day * 1440 + 300 + at) for at in range(60))


def test_busy_markets_burst_and_thin_ones_have_empty_minutes() -> None:
    day = range(LISTED_SINCE_HOUR * 60 + 144_000, LISTED_SINCE_HOUR * 60 + 145_440)
    busy = [bar.trades if (bar := MARKETS[BUSY].bar(minute)) else 0 for minute in day]
    thin = [bar.trades if (bar := MARKETS[THIN].bar(minute)) else 0 for minute in day]
    assert 195 < sum(busy) / 1440 < 205 and max(busy) > 400 and min(busy) > 50
    assert 2.5 < sum(thin) / 1440 < 3.5 and thin.count(0) > 200


def test_a_minute_opens_near_the_close_before_it_and_moves_from_there() -> None:
    start = LISTED_SINCE_HOUR * 60 + 3_000_000
    for market in (MARKETS[BUSY], MARKETS[SECONDS]):
        bars = [bar for minute in range(start, start + 1440) if (bar := market.bar(minute))]
        jumps = [abs(bar.first - before.close) for before, bar in itertools.pairwise(bars)]
        ranges = [bar.high - bar.low for bar in bars]
        assert sum(jump > reach for jump, reach in zip(jumps, ranges[1:], strict=True)) == 0
        assert sum(jumps) < sum(ranges) / 4


def test_as_many_patterns_rise_as_fall_so_that_an_hour_is_no_saw() -> None:
    for market in MARKETS.values():
        ends = [shape.end for shape in market._shapes]
        assert abs(sum(ends)) <= max(map(abs, ends))


def test_trades_are_spread_over_the_whole_minute_and_often_share_a_time() -> None:
    trades = MARKETS[BUSY].trades(LISTED_SINCE_HOUR * 60 + 77)
    assert {trade.ts % MINUTE_NS // (10 * SECOND_NS) for trade in trades} == set(range(6))
    assert len({trade.ts for trade in trades}) < 0.8 * len(trades)


def test_a_rate_sets_the_trades_per_second_of_every_market() -> None:
    for rate in (0.01, 1.0, 100.0):
        hour = Market(THIN, seed=1, rate=rate).hour(LISTED_SINCE_HOUR + 3)
        assert hour is not None and hour.trades == pytest.approx(rate * 3600, rel=0.05)


def test_nothing_traded_before_a_market_was_listed() -> None:
    market = MARKETS[BUSY]
    assert market.bar(LISTED_SINCE_HOUR * 60 - 1) is None and market.trades(LISTED_SINCE_HOUR * 60 - 1) == []
    assert market.traded_before(LISTED_SINCE_HOUR * 60) is None
    assert market.newest(20, LISTED_SINCE_HOUR * 60 * MINUTE_NS - 1) == []
    first = market.between((LISTED_SINCE_HOUR * 60 - 5) * MINUTE_NS, (LISTED_SINCE_HOUR * 60 + 1) * MINUTE_NS)
    assert first and all(trade.ts >= LISTED_SINCE_HOUR * 60 * MINUTE_NS for trade in first)


def test_venues_differ_in_what_the_provider_says_of_a_trade() -> None:
    minute = LISTED_SINCE_HOUR * 60 + 1_000_003
    busy, thin, seconds = (market.trades(minute + at) for at, market in enumerate(MARKETS.values()))
    assert all(trade.ccseq is not None for trade in busy + seconds)
    assert all(trade.ccseq is None for trade in thin)
    assert all(trade.ts % SECOND_NS == 0 and trade.id.startswith(str(trade.ts // SECOND_NS)) for trade in seconds)


def test_days_are_computed_before_they_are_asked_for_until_the_simulator_stops(tmp_path: Path) -> None:
    provider = Provider(Config(tmp_path, (Pair.parse("coinbase:BTC-USD"),), days_ahead=30))
    asked: list[int] = []

    class Counted(Market):
        def day(self, day: int) -> Bar | None:
            asked.append(day)
            return super().day(day)

    (pair,) = provider.config.markets
    provider.sources[pair] = Counted(pair, 1)
    compute_days(provider, stop := Event())
    today = provider.now() // (1440 * MINUTE_NS)
    assert asked[:30] == list(range(asked[0], asked[0] + 30)) and asked[29] in (today - 1, today - 2)
    stop.set()
    compute_days(provider, stop)
    assert len(asked) == 30
    provider.close()
