"""What is peculiar to Binance and Binance.US."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from ingestion.providers.answers import (
    Blocked,
    CandlesAsked,
    MarketState,
    PairList,
    RateLimited,
    Refused,
    TradePage,
    TradesAsked,
    Unavailable,
)
from ingestion.providers.binance.provider import PROVIDER, US_PROVIDER
from ingestion.providers.binance.stream import BinanceStream
from ingestion.providers.events import (
    CandleSeen,
    Event,
    FeedRefused,
    Garbage,
    LastId,
    ReconnectSoon,
    Subscribed,
    TradeSeen,
)
from tests.support.ingestion.venues import (
    AT,
    BINANCE_US_VENUE,
    BINANCE_VENUE,
    Made,
    answer,
    needs_real,
    query_of,
    session,
)

VENUE = BINANCE_VENUE
START = 1_787_626_680_000_000
KLINE = {
    "t": 1715678760000, "T": 1715678819999, "s": "ETHBTC", "i": "1m", "f": 9021333, "L": 9021338, "o": "0.05213",
    "c": "0.05216", "h": "0.05216", "l": "0.05207", "v": "9.2251", "n": 6, "x": False, "q": "0.48093462",
}  # fmt: skip


def read(frame: dict[str, Any] | str, stream: BinanceStream | None = None) -> tuple[Event, ...]:
    raw = frame if isinstance(frame, str) else json.dumps(frame)
    return (stream or BinanceStream()).read_frame(raw.encode())


def kline(**changes: Any) -> tuple[Event, ...]:
    return read({"e": "kline", "E": 1715678793619, "s": "ETHBTC", "k": KLINE | changes})


def rows(trades: Sequence[Made]) -> str:
    return json.dumps([VENUE.row_of(trade) for trade in trades])


def read_all(frames: Sequence[bytes]) -> list[Event]:
    stream = BinanceStream()
    return [event for raw in frames for event in stream.read_frame(raw)]


def assert_candles_are_the_trades(events: Sequence[Event]) -> None:
    """Compare a session's candles, of one minute and the beginning of the next, with its trades."""
    trades = [event for event in events if isinstance(event, TradeSeen)]
    candles = [event for event in events if isinstance(event, CandleSeen)]
    assert (len(trades), len(candles)) == (11, 5)
    for candle in candles:
        assert candle.first and candle.last and candle.trades == candle.last - candle.first + 1
    *_, closed, after = candles
    opened = candles[0]
    assert closed.closed and closed.first == opened.first and after.first == (closed.last or 0) + 1
    # From the first frame of the minute to its last, volumes grow by exactly the trades between.
    between = [trade for trade in trades if (opened.last or 0) < (trade.first or 0) <= (closed.last or 0)]
    assert closed.volume - opened.volume == sum(trade.amount for trade in between)
    quotes = [trade.price * trade.amount for trade in between]
    fills = (closed.trades or 0) - (opened.trades or 0)
    assert fills == sum((trade.last or 0) - (trade.first or 0) + 1 for trade in between)
    # The venue cuts off each trade's quote volume.
    assert 0 <= sum(quotes) - (closed.quote_volume - opened.quote_volume) <= fills * Decimal("1e-8")
    assert closed.close == between[-1].price
    whole = [trade for trade in trades if (trade.first or 0) >= (after.first or 0)]
    assert (after.open, after.volume, after.trades) == (whole[0].price, sum(each.amount for each in whole), 2)


def test_candles_are_the_trades_by_ids_count_and_sums() -> None:
    assert_candles_are_the_trades(read_all(BINANCE_US_VENUE.frames()))


@needs_real
def test_candles_of_a_real_session_are_its_trades() -> None:
    assert_candles_are_the_trades(read_all(session("binance-us-frames.txt", "@aggTrade", "@kline_1m")))


def test_a_closed_candle_speaks_for_its_whole_minute_and_an_open_one_for_no_time_of_its_own() -> None:
    said = [event for event in read_all(BINANCE_US_VENUE.frames()) if isinstance(event, LastId)]
    assert LastId("ETHBTC", 9_021_348, 1_715_678_820_000_000) in said
    assert said[0] == LastId("ETHBTC", 9_021_337, 1_715_678_792_619_000)


def test_a_quiet_candle_names_no_trade() -> None:
    (candle,) = kline(f=-1, L=-1, n=0, x=True, v="0.00000000", q="0.00000000")
    assert isinstance(candle, CandleSeen)
    assert (candle.first, candle.last, candle.trades, candle.closed) == (None, None, 0, True)


def test_a_candle_that_contradicts_itself_says_nothing_of_the_newest_trade() -> None:
    assert [type(event) for event in kline(n=5)] == [CandleSeen]
    for changes in ({"f": 9, "L": 8}, {"f": -1}, {"n": 0}, {"o": "NaN"}, {"T": 1715678759998}, {"v": "-1"}):
        assert [type(event) for event in kline(**changes)] == [Garbage], changes


def test_the_very_first_trade_of_an_old_market_has_the_id_0() -> None:
    assert [type(event) for event in kline(f=0, L=0, n=1)] == [CandleSeen]
    (trade,) = read(VENUE.frame_of(Made(0, START, fills=(0, 0))))
    assert isinstance(trade, TradeSeen) and (trade.id, trade.first) == ("0", 0)


def test_candles_are_asked_for_from_the_first_millisecond_to_the_last() -> None:
    request = PROVIDER.history.candles_request(CandlesAsked("BTCUSDT", 3600, START, START + 3_600_000_000))
    assert request.weight == 2
    assert query_of(request.path) == {
        "symbol": "BTCUSDT", "interval": "1h", "limit": "1000", "startTime": "1787626680000",
        "endTime": "1787630279999",
    }  # fmt: skip


def test_an_aggregate_covers_the_ids_of_all_its_trades_but_not_of_impossibly_many() -> None:
    (trade,) = read(VENUE.frame_of(Made(9, START, fills=(100, 104))))
    assert isinstance(trade, TradeSeen) and (trade.id, trade.first, trade.last) == ("9", 100, 104)
    for fills in ((5, 4), (-1, 4), (1, 10**9)):
        assert [type(event) for event in read(VENUE.frame_of(Made(9, START, fills=fills)))] == [Garbage]


def test_a_marker_of_an_aggregate_that_was_sent_twice_is_no_trade() -> None:
    marker = Made(8, START, price="0.00000000", amount="0.00000000", fills=(-1, -1))
    assert read(VENUE.frame_of(marker)) == ()
    trades = [Made(7, START, fills=(70, 70)), marker, Made(9, START, fills=(71, 72))]
    page = PROVIDER.history.read_trades(TradesAsked("BTCUSDT", Made(6, START).mark), None, answer(rows(trades)))
    assert isinstance(page, TradePage)
    assert ([trade.id for trade in page.trades], page.garbage, page.floor) == (["7", "9"], (), False)


def test_an_answer_names_only_the_number_of_what_was_asked() -> None:
    stream = BinanceStream()
    first, second = (json.loads(stream.subscribe([sub])[0]) for sub in ("BTCUSDT", "ETHUSDT"))
    assert first["params"] == ["btcusdt@aggTrade", "btcusdt@kline_1m"]
    assert read({"result": None, "id": second["id"]}, stream) == (Subscribed("ETHUSDT"),)
    assert read({"result": None, "id": first["id"]}, stream) == (Subscribed("BTCUSDT"),)
    assert [type(event) for event in read({"result": None, "id": first["id"]}, stream)] == [Garbage]


def test_an_error_without_a_number_is_of_the_connection() -> None:
    (refused,) = read('{"code":2,"msg":"Invalid request: unknown method"}')
    assert isinstance(refused, FeedRefused) and (refused.sub, refused.http_status) == (None, 400)
    (limited,) = read('{"code":3,"msg":"Too many requests"}')
    assert isinstance(limited, FeedRefused) and limited.http_status == 429


@pytest.mark.parametrize(
    "frame",
    [{"e": "serverShutdown", "E": 1}, {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}}],
)
def test_a_shutdown_is_announced(frame: dict[str, Any]) -> None:
    assert [type(event) for event in read(frame)] == [ReconnectSoon]


def test_a_single_trade_is_not_taken_for_an_aggregate_for_its_id_is_another() -> None:
    raw = '{"e":"trade","E":1672515782136,"s":"BNBBTC","t":1,"p":"0.001","q":"100","T":1672515782136,"m":true}'
    assert [type(event) for event in read(raw)] == [Garbage]


def test_a_page_goes_on_after_the_last_id_although_it_ends_within_a_millisecond() -> None:
    trades = [Made(number, START, fills=(number, number)) for number in range(1, 1501)]
    asked = TradesAsked("BTCUSDT", trades[0].mark)
    page = PROVIDER.history.read_trades(asked, None, VENUE.answer(trades, PROVIDER.history.trades_request(asked).path))
    assert isinstance(page, TradePage) and page.cursor == "1002"
    assert PROVIDER.history.trades_request(asked, page.cursor).path.endswith("fromId=1002&limit=1000")


def test_an_empty_page_says_that_the_known_trade_is_the_newest() -> None:
    known = Made(9, START, fills=(100, 104)).mark
    page = PROVIDER.history.read_trades(TradesAsked("BTCUSDT", known), None, answer("[]"))
    assert isinstance(page, TradePage) and page.newest == LastId("BTCUSDT", 104, AT - 2_000_000)
    nothing = PROVIDER.history.read_trades(TradesAsked("BTCUSDT", None), None, answer("[]"))
    assert isinstance(nothing, TradePage) and nothing.newest is None


def test_a_region_that_is_not_served_is_told_where_else_to_ask() -> None:
    body = '{"code": 0, "msg": "Service unavailable from a restricted location according to \'b. Eligibility\'."}'
    found = PROVIDER.history.read_trades(TradesAsked("BTCUSDT", None), None, answer(body, 451))
    assert isinstance(found, Blocked)
    assert "restricted location" in found.reason and "data-api.binance.vision" in found.remedy


@pytest.mark.parametrize(("status", "banned"), [(418, True), (429, False), (400, False)])
def test_a_limit_is_one_by_its_code_whatever_the_status(status: int, banned: bool) -> None:
    found = PROVIDER.history.read_trades(
        TradesAsked("BTCUSDT", None), None, answer('{"code":-1003,"msg":"Too many requests."}', status)
    )
    assert isinstance(found, RateLimited) and found.banned is banned


def test_a_ban_lasts_until_the_time_that_its_words_name() -> None:
    body = json.dumps(
        {"code": -1003, "msg": f"Way too much request weight used; IP banned until {AT // 1000 + 900_000}."}
    )
    found = PROVIDER.history.read_trades(TradesAsked("BTCUSDT", None), None, answer(body, 418))
    assert isinstance(found, RateLimited) and (found.retry_after, found.banned) == (900.0, True)


@pytest.mark.parametrize(
    ("code", "expected"), [(-1121, Refused), (-1100, Refused), (-1007, Unavailable), (-1008, Unavailable)]
)
def test_an_error_is_what_its_code_says_even_with_http_200(code: int, expected: type) -> None:
    body = json.dumps({"code": code, "msg": "words"})
    for status in (200, 400):
        found = PROVIDER.history.read_candles(CandlesAsked("FAKE", 60, START, AT), answer(body, status))
        assert isinstance(found, expected)


def test_binance_us_is_a_market_of_its_own_at_hosts_of_its_own() -> None:
    ours = US_PROVIDER.catalogue.read_pairs(answer(VENUE.pairs))
    assert isinstance(ours, PairList)
    assert ours.pairs[0].symbol == "binanceus:BTC-USDT"
    assert {host.url for host in PROVIDER.traits.hosts}.isdisjoint(host.url for host in US_PROVIDER.traits.hosts)
    assert US_PROVIDER.traits.limits.weights[0].limit < PROVIDER.traits.limits.weights[0].limit


def test_a_symbol_takes_a_break_with_the_venues_word_for_it() -> None:
    found = PROVIDER.catalogue.read_pairs(answer(VENUE.pairs))
    assert isinstance(found, PairList)
    words = {market.pair.symbol: (market.state, market.word, market.tick) for market in found.markets}
    assert words["binance:BTC-USDT"] == (MarketState.TRADING, "TRADING", Decimal("0.01"))
    assert words["binance:ETH-EUR"] == (MarketState.HALTED, "BREAK", None)
