"""Binance's market data: its shapes, its codes, and the digits of GET candles."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datastore.api.binance.names import markets_named
from datastore.api.responses import compression
from datastore.models import Market
from datastore.reference.markets import ensure_markets, get_or_create_markets
from datastore.reference.provider_clock import save_clock
from datastore.sse.binance.endpoint import find_streams
from datastore.sse.binance.names import stream_name
from tests.support.api.declared import check
from tests.support.api.rows import NOW, SYMBOL, Feed, at, body_of
from tests.support.datastore.counted import dealt
from tests.support.datastore.records import store

BEGAN_MS = at(0) // 1000
NOW_MS = int(NOW.timestamp() * 1000)
PAGE = "https://charts.example.org"


@pytest.fixture
def candles(market: Market) -> Market:
    """Ten minutes of a feed, with trades in the minutes 0, 1, 2, 6 and 9."""
    feed = Feed()
    trades = [(5, "100.1"), (65, "101.25"), (70, "99"), (130, "102"), (370, "103.5"), (550, "104")]
    store(feed.opened(), *(feed.trade(second, price, "0.5") for second, price in trades), feed.watermark(555))
    return market


def v3(client: Client, address: str, status: int = 200, /, **headers: str) -> Any:
    response = client.get(f"/binance/api/v3/{address}", headers=headers)
    assert response.status_code == status, response.content
    assert check(response)
    return json.loads(response.content)


def expected(client: Client) -> list[list[Any]]:
    rows = body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1m&wait=0")["candles"]
    return [[row[0], *row[1:6], row[0] + 59_999, row[6], row[7], "0", "0", "0"] for row in rows]


def test_klines_are_the_candles_by_start_end_and_limit(client: Client, candles: Market) -> None:
    every = expected(client)
    asked = f"klines?symbol={SYMBOL}&interval=1m"
    assert v3(client, asked) == v3(client, asked.replace("klines", "uiKlines")) == every
    ours = client.get(f"/api/v1/candles?market={SYMBOL}&timeframe=1m&wait=0&format=binance")
    assert json.loads(b"".join(ours) if ours.streaming else ours.content) == every
    assert v3(client, f"{asked}&limit=2") == every[-2:]
    assert v3(client, f"{asked}&startTime={BEGAN_MS}&limit=2") == every[:2]
    assert v3(client, f"{asked}&startTime={BEGAN_MS + 1}&limit=2") == every[1:3]
    assert v3(client, f"{asked}&endTime={BEGAN_MS + 60_000}") == every[:2]
    assert v3(client, f"{asked}&startTime={BEGAN_MS + 60_000}&endTime={BEGAN_MS + 60_000}") == every[1:2]
    assert v3(client, f"{asked}&startTime={NOW_MS + 3_600_000}") == []


def test_a_page_holds_as_many_klines_as_there_are_however_many_quiet_minutes_lie_between(
    client: Client, candles: Market
) -> None:
    every, found, start = expected(client), [], BEGAN_MS
    while page := v3(client, f"klines?symbol={SYMBOL}&interval=1m&startTime={start}&limit=2"):
        found += page
        start = page[-1][0] + 1
        if len(page) < 2:
            break
    assert found == every
    assert v3(client, f"klines?symbol={SYMBOL}&interval=1m&endTime={BEGAN_MS + 540_000}&limit=4") == every[-4:]


def test_what_a_market_lacks_before_its_newest_minutes_is_asked_for_where_these_are_pending(
    client: Client, market: Market
) -> None:
    Market.objects.filter(symbol="coinbase:ETH-USD").update(followed=False)
    response = client.get("/binance/api/v3/klines?symbol=coinbase:ETH-USD&interval=1m&limit=2")
    # No Coordinator runs here that could hand the fetch out: so nothing is there, and it is not said to be complete.
    assert (response.status_code, response.content, response["Candlekeep-Complete"]) == (200, b"[]", "false")


def test_from_the_beginning_means_from_the_oldest_candle(client: Client, candles: Market) -> None:
    assert v3(client, f"klines?symbol={SYMBOL}&interval=1m&startTime=0&limit=1") == expected(client)[:1]


def test_a_symbol_means_the_followed_market_and_exchange_info_lists_it_so(
    client: Client, candles: Market, settings: Any
) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 6000
    info = v3(client, "exchangeInfo")
    symbols = {each["symbol"]: each for each in info["symbols"]}
    assert set(symbols) == {"COINBASE:BTCUSD", "KRAKEN:BTCUSD", "ETHUSD"}
    bitcoin = symbols["COINBASE:BTCUSD"]
    assert (bitcoin["baseAsset"], bitcoin["quoteAsset"], bitcoin["status"]) == ("COINBASE:BTC", "USD", "TRADING")
    # Clients such as ccxt name a market by these two, and keep the last of those with the same.
    assert len({(each["baseAsset"], each["quoteAsset"]) for each in info["symbols"]}) == 3
    assert all(each["baseAsset"] + each["quoteAsset"] == name for name, each in symbols.items())
    filters = {each["filterType"]: each for each in bitcoin["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.01000000", "0.10000000")
    assert info["rateLimits"][0]["limit"] == 6000
    Market.objects.filter(symbol="kraken:BTC-USD").update(followed=False)
    assert {each["symbol"] for each in v3(client, "exchangeInfo")["symbols"]} == {"BTCUSD", "ETHUSD"}
    assert v3(client, "klines?symbol=BTCUSD&interval=1m") == expected(client)
    (named,) = v3(client, "exchangeInfo?symbol=BTCUSD")["symbols"]
    assert (named["symbol"], named["baseAsset"]) == ("BTCUSD", "BTC")


def test_every_symbol_that_is_shown_leads_back_to_its_market(client: Client, market: Market) -> None:
    # Two that nobody follows, and two whose names differ by case alone.
    get_or_create_markets(["coinbase:SOL-USD", "kraken:SOL-USD"])
    ensure_markets(["coinbase:stETH-USD", "coinbase:STETH-USD"])
    asked = ["kraken:SOL-USD", "coinbase:stETH-USD", "coinbase:STETH-USD", "coinbase:ETH-USD"]
    shown = [each["symbol"] for each in v3(client, f"exchangeInfo?symbols={json.dumps(asked)}")["symbols"]]
    assert shown == ["KRAKEN:SOLUSD", "coinbase:stETH-USD", "coinbase:STETH-USD", "ETHUSD"]
    assert [market.symbol for market in markets_named(shown)] == asked
    assert len(v3(client, "exchangeInfo")["symbols"]) == 5


def test_many_symbols_take_as_many_statements_as_one(client: Client, market: Market) -> None:
    names = [f"coinbase:M{number}-USD" for number in range(20)]
    get_or_create_markets(names)

    def statements(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            v3(client, address)
        return len(queries)

    for address in ("exchangeInfo", "ticker/price", "ticker/24hr"):
        few, many = (f"{address}?symbols={json.dumps([f'M{at}USD' for at in range(most)])}" for most in (1, 20))
        assert statements(many) == statements(few)
    streams = [stream_name(f"m{number}usd@kline_1m") for number in range(20)]
    with CaptureQueriesContext(connection) as of_one:
        find_streams(streams[:1])
    with CaptureQueriesContext(connection) as of_many:
        assert [symbol for _, _, symbol in find_streams(streams)] == [f"M{number}USD" for number in range(20)]
    assert len(of_many) == len(of_one)


def test_tickers_are_those_of_the_api(client: Client, candles: Market) -> None:
    (ours,) = body_of(client, f"/api/v1/tickers?markets={SYMBOL}")["tickers"]
    day = v3(client, f"ticker/24hr?symbol={SYMBOL}")
    pairs = {"lastPrice": "last", "openPrice": "open", "highPrice": "high", "lowPrice": "low", "volume": "volume"}
    pairs |= {"quoteVolume": "quote_volume", "priceChange": "change", "count": "trades"}
    assert {name: day[name] for name in pairs} == {name: ours[other] for name, other in pairs.items()}
    assert day["weightedAvgPrice"] == "101.64166667"
    mini = v3(client, f'ticker/24hr?symbols=["{SYMBOL}"]&type=MINI')
    assert len(mini) == 1 and "priceChange" not in mini[0]
    assert v3(client, f"ticker/price?symbol={SYMBOL}") == {"symbol": "COINBASE:BTCUSD", "price": ours["last"]}
    assert [each["symbol"] for each in v3(client, "ticker/price")] == ["COINBASE:BTCUSD"]


@pytest.mark.parametrize(
    ("address", "code", "sentence"),
    [
        ("klines?symbol=NONESUCH&interval=1m", -1121, "Invalid symbol. There is no market"),
        ("klines?symbol=BTCUSD&interval=1m", -1121, "Invalid symbol. It is ambiguous. It could be: coinbase:BTC-USD"),
        ("klines?interval=1m", -1102, "Mandatory parameter 'symbol' was not sent"),
        ("klines?symbol=ETHUSD&interval=8h", -1120, "Invalid interval. Served here: 1m, 3m"),
        ("klines?symbol=ETHUSD&interval=1m&limit=x", -1100, "Illegal characters found in parameter 'limit'"),
        ("klines?symbol=ETHUSD&interval=1m&limit=0", -1130, "It begins at 1."),
        ("klines?symbol=ETHUSD&interval=1m&startTime=1764028800", -1130, "It is in milliseconds"),
        ("klines?symbol=ETHUSD&interval=1m&timeZone=8", -1130, "UTC"),
        ("klines?symbol=ETHUSD&symbol=ETHUSD&interval=1m", -1101, "Duplicate values"),
        ("klines?symbol=ETHUSD&interval=1m&from=1", -1104, "Unknown: from. Accepted: symbol, interval"),
        ("ticker/24hr?symbol=ETHUSD&type=SMALL", -1130, "Accepted: FULL, MINI."),
        ("ticker/price?symbols=[1]", -1100, "'symbols'"),
        ("aggTrades?symbol=ETHUSD&fromId=1&startTime=0", -1128, "fromId, or startTime"),
        ("trades?symbol=ETHUSD", -1020, "No trade of coinbase:ETH-USD has an id"),
    ],
)
def test_a_bad_question_has_its_code_and_says_what_is_accepted(
    client: Client, market: Market, address: str, code: int, sentence: str
) -> None:
    refusal = v3(client, address, 400)
    assert refusal["code"] == code
    assert sentence in refusal["msg"]


def test_the_streams_are_said_to_be_elsewhere(client: Client, market: Market, settings: Any) -> None:
    settings.SSE_URL, settings.SSE_PORT = "", 8001
    answer = client.get("/binance/ws/btcusd@kline_1m")
    assert (answer.status_code, json.loads(answer.content)["code"]) == (404, -1020)
    assert "ws://testserver:8001/binance/ws" in json.loads(answer.content)["msg"]


def test_a_key_comes_in_binance_s_header_and_binance_s_own_keys_are_ignored(
    client: Client, market: Market, read_key: str, settings: Any
) -> None:
    settings.REQUIRE_API_KEY = True
    assert v3(client, "ping", **{"X-MBX-APIKEY": read_key}) == {}
    assert v3(client, "ping", 401, **{"X-MBX-APIKEY": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv"})["code"] == -2015
    settings.REQUIRE_API_KEY = False
    assert v3(client, "ping", **{"X-MBX-APIKEY": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv"}) == {}
    assert v3(client, "ping", 401, **{"X-MBX-APIKEY": read_key[:-1]})["code"] == -2015


def test_used_weight_rises_to_the_limit_and_then_429(client: Client, market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 20
    used = []
    while (response := client.get("/binance/api/v3/time")).status_code == 200:
        used.append(int(response["X-MBX-USED-WEIGHT-1M"]))
    assert used == sorted(used) and 0 < used[0] < used[-1] <= 20
    assert (response.status_code, json.loads(response.content)["code"]) == (429, -1003)
    assert int(response["Retry-After"]) > 0


def test_pages_of_other_origins_head_and_compression_are_as_for_the_api(
    client: Client, candles: Market, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]
    monkeypatch.setattr(compression, "MIN_BYTES", 1)
    response = client.get("/binance/api/v3/exchangeInfo", headers={"Origin": PAGE, "Accept-Encoding": "gzip"})
    assert (response["Access-Control-Allow-Origin"], response["Content-Encoding"]) == (PAGE, "gzip")
    assert "X-MBX-USED-WEIGHT-1M" in response["Access-Control-Expose-Headers"]
    assert client.head("/binance/api/v3/time").status_code == 200


@pytest.fixture
def counted(db: None, settings: Any) -> Market:
    """A market whose venue counts its trades: ids 1 to 40, one a second."""
    settings.PROVIDERS = ["kraken"]
    save_clock("kraken", timedelta(0))
    name = "kraken:BTC-EUR"
    (market,) = ensure_markets([name])
    store(*(dealt(number, at(number), str(100 + number), market=name, amount="2") for number in range(1, 41)))
    return market


def test_trades_of_a_venue_that_counts_them(client: Client, counted: Market) -> None:
    newest = v3(client, "trades?symbol=BTCEUR&limit=3")
    assert [trade["id"] for trade in newest] == [38, 39, 40]
    assert newest[0] == {
        "id": 38,
        "price": "138",
        "qty": "2",
        "quoteQty": "276",
        "time": BEGAN_MS + 38_000,
        "isBuyerMaker": False,
        "isBestMatch": True,
    }


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ("limit=2", [39, 40]),
        ("fromId=7&limit=3", [7, 8, 9]),
        ("fromId=1&limit=1", [1]),
        ("fromId=41", []),
        pytest.param(f"startTime={BEGAN_MS + 5_000}&endTime={BEGAN_MS + 6_000}", [5, 6], id="times"),
    ],
)
def test_aggregates_by_id_and_time(client: Client, counted: Market, asked: str, ids: list[int]) -> None:
    found = v3(client, f"aggTrades?symbol=BTCEUR&{asked}")
    assert [(each["a"], each["f"], each["l"]) for each in found] == [(number, number, number) for number in ids]
