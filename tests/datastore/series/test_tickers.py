"""Tickers: what GET candles shows of the same minutes, added up, for many markets at once."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from datastore.coverage.facts import facts_of
from datastore.coverage.feed_progress import note_acknowledged
from datastore.db.queries import execute
from datastore.ingest.live_write import store_live
from datastore.models import Market
from datastore.reference.markets import ensure_markets, unfollow
from datastore.series.reader import read_series
from datastore.series.tickers import Ticker, read_tickers
from streaming.records import LiveRecord
from tests.support.datastore import answers
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, ETH, MINUTE, NOON, SECOND, closed, moment, opened, trade, watermark

pytestmark = pytest.mark.django_db

NOW = NOON + 17 * MINUTE + 31 * SECOND
HOUR = 60 * MINUTE


def live(*records: LiveRecord) -> None:
    with transaction.atomic():
        store_live(records)


def added_up(market: Market) -> dict[str, object]:
    """Return what the rows of GET candles over the same minutes make."""
    series = read_series(market, "1m", limit=1441)
    rows = series.rows
    if not rows:
        return {"complete": series.complete, "open": None, "volume": Decimal(0)}
    counts = [row[7] for row in rows]
    opens, highs, lows, closes, volumes, quotes = ([Decimal(row[at] or "") for row in rows] for at in range(1, 7))
    first, last = opens[0], closes[-1]
    return {
        "open": first,
        "high": max(highs),
        "low": min(lows),
        "close": last,
        "volume": sum(volumes),
        "quote_volume": sum(quotes),
        "trades": None if None in counts else sum(counts),  # type: ignore[arg-type]
        "change": last - first,
        "complete": series.complete,
    }


def told(ticker: Ticker) -> dict[str, object]:
    found = ticker.statistics._asdict()
    decimals = {
        name: None if found[name] is None else Decimal(found[name])
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "change")
    }
    return {**decimals, "trades": found["trades"], "complete": ticker.complete}


def random_market(random: Random, symbol: str) -> Market:
    """Make a market of 30 hours: live spans with holes between them, answers of the provider over some of those."""
    (market,) = ensure_markets([symbol])
    n, at = 0, NOW - random.randint(1, 30) * HOUR
    while at < NOW - HOUR:
        stop = at + random.randint(1, 12) * HOUR + random.randint(0, 3600) * SECOND
        stop = min(stop, NOW - random.randint(0, 20) * SECOND)
        times = sorted(random.randrange(at, stop) for _ in range(random.randint(0, 60)))
        records: list[LiveRecord] = [opened(n + 1, at, market=symbol)]
        n += 1
        for ts in times:
            n += 1
            price = f"{random.randint(90, 110)}.{random.randint(0, 99)}"
            records.append(trade(n, ts, price, f"0.{random.randint(1, 999)}", market=symbol))
        records += [watermark(n + 1, stop, at, market=symbol), closed(n + 2, None, start=at, market=symbol)]
        n += 2
        live(*records)
        at = stop + random.randint(1, 90) * MINUTE
    for _ in range(random.randint(0, 6)):
        start = (NOW - random.randint(3, 1800) * MINUTE) // MINUTE * MINUTE
        stop = min(start + random.randint(1, 600) * MINUTE, NOW // MINUTE * MINUTE - MINUTE)
        if start < stop:
            kept = [at for at in range(start, stop, MINUTE) if random.random() < 0.2]
            made = [answers.candle(at, str(random.randint(90, 110)), market=symbol) for at in kept]
            answers.store(*made, answers.answered(start, stop, market=symbol))
    return market


def assert_told_alike(ticker: Ticker, market: Market) -> None:
    head, single = ticker.head, facts_of(market, 60, None, None).head
    assert (head.watermark, head.known, head.behind) == (single.watermark, single.known, single.behind)
    assert head.now == pytest.approx(single.now, abs=10 * SECOND)


def test_what_is_known_of_many_markets_is_what_is_known_of_each(provider_time: ProviderTime) -> None:
    markets = {market.symbol: market for market in ensure_markets([BTC, ETH])}
    answers.store(answers.answered(NOON, NOON + HOUR))
    live(opened(1, NOON, market=ETH), watermark(2, NOON + 5 * MINUTE, market=ETH))
    provider_time.forget()
    for ticker in read_tickers():
        assert_told_alike(ticker, markets[ticker.head.symbol])
    provider_time.set(NOW)
    note_acknowledged("tick-data/one", moment(NOW - MINUTE), markets=[ETH])
    live(watermark(3, NOON + 6 * MINUTE, market=ETH))
    bitcoin, ether = read_tickers()
    assert not bitcoin.head.behind and ether.head.behind
    assert ether.head.watermark == facts_of(markets[ETH], 60, None, None).head.watermark


@pytest.mark.parametrize("seed", range(12))
def test_a_ticker_is_what_the_candles_of_its_minutes_add_up_to(provider_time: ProviderTime, seed: int) -> None:
    provider_time.set(NOW)
    random = Random(seed)
    markets = {symbol: random_market(random, symbol) for symbol in (BTC, ETH)}
    for ticker in read_tickers():
        expected = added_up(markets[ticker.head.symbol])
        assert {name: told(ticker)[name] for name in expected} == expected


def test_a_day_of_one_feed_is_whole_and_its_change_is_rounded_to_four_places(provider_time: ProviderTime) -> None:
    provider_time.set(NOW)
    ensure_markets([BTC])
    start = NOW - 25 * HOUR
    first = trade(2, NOW - 24 * HOUR, "3", "2")
    live(opened(1, start), first, trade(3, NOW - SECOND, "4", "0.5"), watermark(4, NOW - 5 * SECOND, start))
    (ticker,) = read_tickers()
    assert ticker.complete
    assert (ticker.last, ticker.last_trade) == ("4", NOW - SECOND)
    figures = ticker.statistics
    assert (figures.open, figures.high, figures.low, figures.volume, figures.quote_volume) == (
        "3",
        "4",
        "3",
        "2.5",
        "8",
    )
    assert (figures.trades, figures.change, figures.change_percent) == (2, "1", "33.3333")


def test_a_market_that_has_not_traded_for_a_day_has_a_last_price_and_no_change(provider_time: ProviderTime) -> None:
    provider_time.set(NOW)
    ensure_markets([BTC])
    start = NOW - 40 * HOUR
    live(opened(1, start), trade(2, NOW - 30 * HOUR, "3"), watermark(3, NOW - 5 * SECOND, start))
    (ticker,) = read_tickers()
    assert (ticker.last, ticker.last_trade, ticker.complete) == ("3", NOW - 30 * HOUR, True)
    assert (ticker.statistics.open, ticker.statistics.change, ticker.statistics.volume) == (None, None, "0")


def test_a_market_without_data_is_not_whole_and_one_of_the_provider_s_alone_has_no_time_of_its_last_trade(
    provider_time: ProviderTime,
) -> None:
    provider_time.set(NOW)
    ensure_markets([BTC, ETH])
    start = NOW // MINUTE * MINUTE - 10 * MINUTE
    answers.store(answers.candle(start, "50"), answers.answered(start, start + 8 * MINUTE))
    bitcoin, ether = read_tickers()
    assert (bitcoin.last, bitcoin.last_trade, bitcoin.complete, bitcoin.statistics.trades) == ("50", None, False, None)
    assert (ether.last, ether.complete, ether.statistics.open) == (None, False, None)


def test_without_names_those_that_are_followed_are_told(provider_time: ProviderTime) -> None:
    provider_time.set(NOW)
    bitcoin, ether = ensure_markets([BTC, ETH])
    unfollow(bitcoin)
    assert [ticker.head.symbol for ticker in read_tickers()] == [ETH]
    assert [ticker.head.symbol for ticker in read_tickers([bitcoin.pk])] == [BTC]
    unfollow(ether)
    assert read_tickers() == []


FILL = """
insert into candle (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, trades, version)
select m.id, r.seconds, bucket(r.seconds, instant(%(now)s)) - n * make_interval(secs => r.seconds),
       100, 110, 90, 105, 2.5, 250, 9, 1
  from market m, (values (60, 1500), (3600, 26)) r (seconds, count), generate_series(0, r.count) n
"""


def test_a_hundred_markets_cost_no_more_statements_than_one(
    provider_time: ProviderTime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    provider_time.set(NOW)
    start = NOW - 30 * HOUR
    for market in ensure_markets([f"kraken:A{n}-EUR" for n in range(100)]):
        live(opened(1, start, market=market.symbol), watermark(2, NOW - 5 * SECOND, start, market=market.symbol))
    execute(FILL, {"now": NOW})
    execute("analyze candle, coverage, market, feed_position, tick, provider_candle")
    with django_assert_num_queries(4):
        tickers = read_tickers()
    assert len(tickers) == 100
    assert all(ticker.complete for ticker in tickers)
