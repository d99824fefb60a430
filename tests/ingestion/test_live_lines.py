"""The connections of a live Producer: replaced before they are cut, spread where one is too few, refused in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django_redis import get_redis_connection

from datastore.models import DynamicTopic, Market
from datastore.reference.markets import ensure_markets, market_of, unfollow
from datastore.reference.pairs import Listed, save_pair_list
from datastore.reference.traits import CallWindow
from ingestion.history.provider_quota import quota_of
from ingestion.live import lines
from ingestion.live.market_connection import MarketConnection
from ingestion.live.subscriptions import spread
from ingestion.models import Producer
from ingestion.providers.table import PROVIDERS
from streaming.ends import EndCode
from streaming.records import FeedClosed, FeedOpened, Trade, Watermark
from tests.support.ingestion.topics import topic_of
from tests.support.ingestion.venue_bench import SPEED, VenueBench, venue_bench

pytestmark = pytest.mark.slow

Made = Callable[..., VenueBench]
COINBASE = ["coinbase:BTC-USD", "coinbase:ETH-USD", "coinbase:SOL-USD", "coinbase:LTC-USD"]
BINANCE = ["binance:BTC-USDT", "binance:ETH-USDT"]
KRAKEN = ["kraken:BTC-USD", "kraken:ETH-USD"]
PAIRS = {"binance": ("BTC", "USDT"), "coinbase": ("BTC", "USD"), "kraken": ("BTC", "USD")}


@pytest.fixture
def made(transactional_db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    _forget_attempts()
    with ExitStack() as stack:
        yield lambda venue, markets, **more: stack.enter_context(
            venue_bench(venue, markets, tmp_path, settings, monkeypatch, **more)
        )
    _forget_attempts()


def _forget_attempts() -> None:
    valkey = get_redis_connection("default")
    for key in valkey.scan_iter("ck:budget:*"):
        valkey.delete(key)


def closings(bench: VenueBench) -> list[FeedClosed]:
    return [record for record in bench.records() if isinstance(record, FeedClosed)]


def test_markets_stay_on_their_connection_and_new_ones_go_where_there_is_room() -> None:
    assert spread([{}], dict.fromkeys("abcde", "x"), 2) == [{"a": "x", "b": "x"}, {"c": "x", "d": "x"}, {"e": "x"}]
    assert spread([["a", "b"], ["c"]], dict.fromkeys("bcde", "x"), 2) == [
        {"b": "x", "d": "x"},
        {"c": "x", "e": "x"},
    ]
    assert spread([["a"], ["b"]], {"b": "x"}, 1) == [{}, {"b": "x"}]
    assert spread([{}], dict.fromkeys("abc", "x"), None) == [dict.fromkeys("abc", "x")]


def test_a_notice_opens_the_next_connection_beside_the_first_and_nothing_is_missed(made: Made) -> None:
    bench = made("binance", BINANCE)
    bench.until_live(BINANCE)
    (first,) = bench.feeds()
    bench.fault("cut", notice=90)
    bench.step_until(lambda: len(closings(bench)) == 2)
    feeds = bench.feeds()
    assert {(one.feed, one.reason, one.code) for one in closings(bench)} == {
        (first, lines.REPLACED_REASON, EndCode.RESUBSCRIBED)
    }
    assert len(feeds) == 2
    held = {market: len(bench.of(market, Trade)) for market in BINANCE}
    bench.step_until(lambda: all(len(bench.of(market, Trade)) > held[market] + 20 for market in BINANCE))
    for market in BINANCE:
        assert bench.missing(market) == set()
        assert bench.holes(market) == []
        opened, ended = (
            [at for at, record in enumerate(bench.records()) if record.market == market and type(record) is kind][-1]
            for kind in (FeedOpened, FeedClosed)
        )
        assert opened < ended, "the next one stood before the first one ended"
    assert bench.exceeded() == {}


def test_a_connection_that_is_cut_at_an_age_is_replaced_before_each_time(made: Made) -> None:
    life = 8.0
    bench = made("binance", BINANCE, forced_disconnect=timedelta(seconds=life))
    bench.fault("lifetime", seconds=life * SPEED)
    bench.until_live(BINANCE)
    bench.step_until(lambda: len(bench.feeds()) >= 4 and len(closings(bench)) >= 6, 90)
    assert {one.reason for one in closings(bench)} == {lines.REPLACED_REASON}
    for market in BINANCE:
        assert bench.missing(market) == set()
        assert bench.holes(market) == []


def test_a_next_connection_that_fails_costs_nothing_and_is_tried_again(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = made("binance", BINANCE)
    bench.until_live(BINANCE)
    bench.fault("trouble", kind="busy", seconds=20, sockets=True)  # a second here
    (line,) = bench.work._lines
    line.connection.ends_soon = "a test says so"
    bench.step_until(lambda: len(bench.feeds()) == 2 and len(closings(bench)) == 2, 60)
    assert {one.reason for one in closings(bench)} == {lines.REPLACED_REASON}
    assert not any(bench.missing(market) or bench.holes(market) for market in BINANCE)


def test_more_markets_than_a_connection_takes_are_spread_and_follow_at_the_pace_allowed(made: Made) -> None:
    bench = made("coinbase", COINBASE[:3], listed=COINBASE[3:], channels_per_connection=4, messages=CallWindow(1, 10))
    bench.until_live(COINBASE[:3])
    assert len(bench.feeds()) == 2
    ensure_markets(COINBASE)
    bench.step_until(lambda: bench.of(COINBASE[3], Watermark))
    assert len(bench.feeds()) == 2, "there was room on the second one"
    for market in COINBASE[2:]:
        unfollow(market_of(market))  # type: ignore[arg-type]
    bench.step_until(lambda: len(closings(bench)) == 2)
    assert {(one.market, one.code) for one in closings(bench)} == {(market, EndCode.LEFT) for market in COINBASE[2:]}
    bench.step_until(lambda: len(list(bench.work._lines)) == 1)
    held = len(bench.of(COINBASE[0], Watermark))
    bench.step_until(lambda: len(bench.of(COINBASE[0], Watermark)) > held + 5)
    assert len(closings(bench)) == 2
    assert all(bench.missing(market) == set() for market in COINBASE)
    assert bench.exceeded() == {}


def test_an_unknown_market_that_the_venue_would_accept_is_refused_by_its_list(made: Made) -> None:
    bench = made("binance", [*BINANCE, "binance:NOPE-USDT"], listed=["binance:SOL-USDT"])
    save_pair_list("binance", [Listed("binance", base, "USDT") for base in ("BTC", "ETH")])
    bench.until_live(BINANCE)
    bench.step_until(lambda: Market.objects.filter(symbol="binance:NOPE-USDT").exclude(refusal=None).exists())
    refused = Market.objects.get(symbol="binance:NOPE-USDT")
    assert "binance does not list NOPEUSDT" in (refused.refusal or "") and refused.refused_since
    topic_of(bench, "binance:WHAT-USDT")
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    assert "does not list WHATUSDT" in (DynamicTopic.objects.get().route_error or "")
    ensure_markets(["binance:SOL-USDT"])
    bench.step_until(lambda: Market.objects.filter(symbol="binance:SOL-USDT").exclude(refusal=None).exists())
    save_pair_list("binance", [Listed("binance", base, "USDT") for base in ("BTC", "ETH", "SOL")])
    bench.step_until(lambda: bench.of("binance:SOL-USDT", Watermark))
    bench.step_until(lambda: Market.objects.filter(symbol="binance:SOL-USDT", refusal=None).exists())
    assert not closings(bench) and len(bench.feeds()) == 1


@pytest.mark.parametrize(("venue", "markets"), [("coinbase", COINBASE[:2]), ("binance", BINANCE), ("kraken", KRAKEN)])
def test_a_market_that_is_left_ends_alone_and_goes_on_counting_when_it_returns(
    made: Made, venue: str, markets: list[str]
) -> None:
    bench = made(venue, markets)
    bench.until_live(markets)
    unfollow(market_of(markets[1]))  # type: ignore[arg-type]
    bench.step_until(lambda: closings(bench))
    (closed,) = closings(bench)
    assert (closed.market, closed.reason) == (markets[1], "no longer followed")
    ensure_markets(markets)
    bench.step_until(lambda: len(bench.of(markets[1], FeedOpened)) == 2)
    counted = [record.n for record in bench.records() if record.market == markets[1]]
    assert counted == list(range(1, len(counted) + 1)) and len(bench.feeds()) == 1
    assert bench.missing(markets[0]) == set() and len(closings(bench)) == 1


@pytest.mark.parametrize(("venue", "markets"), [("coinbase", COINBASE[:1]), ("kraken", KRAKEN[:1])])
def test_a_market_that_the_venue_refuses_is_refused_alone_and_says_so(
    made: Made, venue: str, markets: list[str]
) -> None:
    bench = made(venue, markets)
    unknown = f"{venue}:NOPE-USD"
    ensure_markets([unknown])
    bench.until_live(markets)
    bench.step_until(lambda: Market.objects.filter(symbol=unknown).exclude(refusal=None).exists())
    assert "refuses the subscription" in (Market.objects.get(symbol=unknown).refusal or "")
    held = len(bench.of(markets[0], Trade))
    bench.step_until(lambda: len(bench.of(markets[0], Trade)) > held + 3, 90)
    assert not closings(bench)


@pytest.mark.parametrize(("kind", "status"), [("region", 451), ("firewall", 403)])
def test_a_socket_that_is_refused_for_good_waits_for_a_person_with_what_to_do(
    made: Made, kind: str, status: int
) -> None:
    bench = made("binance", BINANCE)
    bench.fault("trouble", kind=kind, seconds=3600, sockets=True)
    bench.step_until(lambda: Producer.objects.exists() and bench.state() == "error")
    row = Producer.objects.get()
    assert row.reset_at is None and f"HTTP {status}" in (row.last_error or "")
    assert status == 403 or "use another provider" in (row.last_error or "")


@pytest.mark.parametrize(("kind", "words"), [("ratelimit", "Too many calls"), ("ban", "banned this address")])
def test_a_socket_that_is_refused_for_a_while_is_not_asked_for_until_then_by_anyone(
    made: Made, kind: str, words: str
) -> None:
    bench = made("binance", BINANCE)
    bench.fault("trouble", kind=kind, seconds=3600, sockets=True, retry_after=300)
    bench.step_until(lambda: Producer.objects.exists() and bench.state() == "error")
    assert words in (Producer.objects.get().last_error or "")
    attempts = bench.work._lines._attempts
    assert attempts is not None and 280 < attempts.take() <= 300
    assert (quota_of(PROVIDERS["binance"].traits).take() > 280) == (kind == "ban"), "a ban is of the whole address"
    bench.step_until(lambda: words in (Producer.objects.get().waiting_for or ""))


def test_frames_of_one_connection_wait_while_those_of_another_are_lost_to_a_fault(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = made("coinbase", COINBASE[:2], channels_per_connection=2)
    bench.until_live(COINBASE[:2])
    first, second = bench.work._lines
    take = MarketConnection.take_frame

    def fail(connection: MarketConnection, raw: bytes, at: int) -> None:
        if connection is first.connection:
            raise ArithmeticError("a frame nobody thought of")
        take(connection, raw, at)

    with monkeypatch.context() as patch:
        patch.setattr(MarketConnection, "take_frame", fail)
        bench.step_until(lambda: len(closings(bench)) == 1)
    (market,) = second.connection.channels.asked.values()
    held = len(bench.of(market, Trade))
    bench.step_until(lambda: len(bench.of(market, Trade)) > held + 20)
    assert bench.missing(market) == set()
    assert [(one.feed, one.code) for one in closings(bench)] == [(first.connection.feed, EndCode.INTERNAL)]
