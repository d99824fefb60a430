"""TradingView's data feed, asked in the order in which the charting library's own client asks."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datastore.api.responses import compression, response_cache
from datastore.api.udf.symbol_info import price_scale
from datastore.ingest import market_cache
from datastore.models import Market, Pair
from datastore.reference.pairs import Listed, save_pair_list
from tests.support.api.declared import check
from tests.support.api.rows import BEGAN, NOW, SYMBOL, Feed, at, body_of
from tests.support.clients.recipes import blocks
from tests.support.datastore.records import store
from tests.support.polling import until

NOW_S = int(NOW.timestamp())
SECONDS = at(0) // 1_000_000  # the first minute of the feed
PAGE = "https://charts.example.org"


@pytest.fixture
def bars(market: Market) -> Market:
    """Ten minutes of a feed, with trades in the minutes 0, 1, 2, 6 and 9, the last of which is open."""
    feed = Feed()
    trades = [(5, "100.1"), (65, "101.25"), (70, "99"), (130, "102"), (370, "103.5"), (550, "104")]
    store(feed.opened(), *(feed.trade(second, price, "0.5") for second, price in trades), feed.watermark(555))
    return market


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(response_cache, "REUSE_S", 0.0)
    monkeypatch.setattr(response_cache, "CONFIRMATION_LIFETIME_US", 3_600_000_000)
    response_cache.forget_recent()
    yield


def udf(client: Client, address: str, status: int = 200, /, **headers: str) -> Any:
    response = client.get(f"/udf/{address}", headers=headers)
    assert response.status_code == status, response.content
    assert check(response)
    return json.loads(response.content)


def history(client: Client, **asked: object) -> Any:
    query = "&".join(f"{name}={value}" for name, value in {"symbol": SYMBOL, "resolution": "1", **asked}.items())
    return udf(client, f"history?{query}")


def candles(client: Client, **asked: object) -> list[Any]:
    query = "".join(f"&{name}={value}" for name, value in asked.items())
    rows: list[Any] = body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1m&wait=0&numbers=float{query}")[
        "candles"
    ]
    return rows


def rows_of(answer: Any) -> list[Any]:
    assert answer["s"] == "ok", answer
    return [list(bar) for bar in zip(*(answer[name] for name in "tohlcv"), strict=True)]


def test_the_library_s_own_sequence_gives_what_get_candles_gives(client: Client, bars: Market) -> None:
    config = udf(client, "config")
    assert config["supports_search"] != config["supports_group_request"]  # the library wants exactly one of them
    assert abs(int(client.get("/udf/time").content) - time.time()) < 60
    symbol = udf(client, f"symbols?symbol={SYMBOL}")
    assert symbol["ticker"] == SYMBOL and set(symbol["supported_resolutions"]) == set(config["supported_resolutions"])
    expected = [[row[0] // 1000, *row[1:6]] for row in candles(client)]
    # First the newest bars, with a `from` that is of no consequence; then older ones until there are none.
    first = history(client, symbol=symbol["ticker"], **{"from": NOW_S - 120, "to": NOW_S, "countback": 3})
    assert rows_of(first) == expected[-3:]
    rest = history(client, **{"from": -(10**9), "to": first["t"][0], "countback": 300})
    assert rows_of(rest) == expected[:-3]
    assert history(client, **{"from": -(10**9), "to": rest["t"][0], "countback": 300}) == {"s": "no_data"}
    # The poll: two bars up to now.
    poll = history(client, **{"from": NOW_S - 600, "to": NOW_S + 1, "countback": 2})
    assert rows_of(poll) == expected[-2:]


def test_a_bar_begins_from_from_on_and_before_to(client: Client, bars: Market) -> None:
    def times_of(start: int, stop: int) -> list[int]:
        answer = history(client, **{"from": SECONDS + start, "to": SECONDS + stop})
        return [time - SECONDS for time in answer.get("t", [])]

    assert times_of(0, 180) == [0, 60, 120]
    assert times_of(1, 121) == [60, 120]
    assert times_of(0, 120) == [0, 60]
    assert times_of(121, 360) == []


def test_quiet_minutes_count_for_nothing_and_no_data_names_the_bar_before(client: Client, bars: Market) -> None:
    answer = history(client, to=SECONDS + 600, countback=4)
    assert [time - SECONDS for time in answer["t"]] == [60, 120, 360, 540]
    gap = history(client, **{"from": SECONDS + 180, "to": SECONDS + 360})
    assert gap == {"s": "no_data", "nextTime": SECONDS + 120}


def test_the_newest_bars_are_given_from_the_cache_until_a_trade_comes(client: Client, market: Market) -> None:
    # A minute that ends in the middle of the test would change the answers; one that has just begun has no trade yet,
    # and what is read in its place is before the feed, where nothing can be fetched here.
    until("the middle of a minute", lambda: 1 <= datetime.now(UTC).second < 55)
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    feed, begin = Feed(), now // 60 * 60 - 240
    trades = [feed.trade(begin + 60 * minute, f"{100 + minute}") for minute in range(4)]
    store(feed.opened(begin), *trades, feed.trade(now - 0.9, "104"), feed.watermark(now - 0.5, begin))
    market_cache.write_followed()

    soon = int(time.time()) + 60
    asked: dict[str, Any] = {"from": soon - 600, "to": soon, "countback": 3}

    def repeated() -> dict[str, Any] | None:
        """Return an answer that was given twice, the second time without the database."""
        market_cache.write_followed()  # the confirmation lasts for two seconds, which a busy machine may need
        first = history(client, **asked)
        with CaptureQueriesContext(connection) as queries:
            again = history(client, **{**asked, "to": soon + 1})
        return first if again == first and not queries else None

    before = until("an answer from the cache", repeated, 30)
    query = {"symbol": SYMBOL, "resolution": 1, **asked}
    tag = client.get("/udf/history", query)["ETag"]
    assert client.get("/udf/history", query, headers={"If-None-Match": tag}).status_code == 304
    # An older range is another question, although it asks for as many.
    assert history(client, **{**asked, "to": before["t"][-1]})["t"][-1] == before["t"][-2]
    store(feed.trade(now, "200"))
    market_cache.write_followed()
    assert history(client, **asked)["c"][-1] == 200


def test_bars_that_could_not_be_fetched_are_not_said_to_be_complete(client: Client, market: Market) -> None:
    Market.objects.filter(symbol="coinbase:ETH-USD").update(followed=False)
    # No Coordinator runs here that could hand the fetch out.
    asked: dict[str, str | int] = {"symbol": "coinbase:ETH-USD", "resolution": 1, "to": NOW_S + 60, "countback": 2}
    response = client.get("/udf/history", asked)
    assert (response.status_code, json.loads(response.content)) == (200, {"s": "no_data"})
    assert response["Candlekeep-Complete"] == "false"


@pytest.mark.parametrize(
    ("step", "scale"),
    [
        ("0.01", (100, 1)),
        ("0.1", (10, 1)),
        ("0.05", (100, 5)),
        ("25", (1, 25)),
        ("1E-8", (10**8, 1)),
        ("1E+1", (1, 10)),
    ],
)
def test_price_scale_and_least_movement_are_the_step(step: str, scale: tuple[int, int]) -> None:
    assert price_scale(Decimal(step)) == scale


def test_steps_are_the_provider_s_else_the_finest_digit_that_was_seen(client: Client, bars: Market) -> None:
    def scale() -> tuple[int, int, int]:
        symbol = udf(client, f"symbols?symbol={SYMBOL}")
        return symbol["pricescale"], symbol["minmov"], symbol["volume_precision"]

    assert scale() == (100, 1, 1)
    step, lot = Decimal("0.050"), Decimal("0.00001000")
    save_pair_list("cryptocompare", [Listed("Coinbase", "BTC", "USD", price_step=step, amount_step=lot)])
    assert Pair.objects.get().price_step == step
    assert scale() == (100, 5, 5)


def test_search_finds_parts_of_names_followed_ones_first(client: Client, market: Market) -> None:
    save_pair_list("cryptocompare", [Listed("Kraken", "BTC", "EUR"), Listed("Kraken", "WBTC", "EUR")])
    names = [found["ticker"] for found in udf(client, "search?query=btc&limit=10")]
    assert names == ["coinbase:BTC-USD", "kraken:BTC-USD", "kraken:BTC-EUR", "kraken:WBTC-EUR"]
    assert [each["symbol"] for each in udf(client, "search?query=kraken:btc/e&type=&exchange=")] == [
        "BTC-EUR",
        "WBTC-EUR",
    ]
    assert len(udf(client, "search?query=&type=crypto&exchange=kraken&limit=2")) == 2
    assert udf(client, "search?query=BTC&type=stock") == udf(client, "search?query=%25_") == []


def test_gaps_and_corrections_are_marked(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(5, "100"), feed.watermark(60), feed.closed(60))
    again = Feed(feed="again")
    store(again.opened(240), again.trade(250, "101"), again.watermark(305, 240))
    store(again.trade(251, "102"))  # late: the minute was closed
    asked = f"symbol={SYMBOL}&resolution=1&from={SECONDS}&to={SECONDS + 600}"
    marks = udf(client, f"marks?{asked}")
    assert [(mark["label"], mark["time"] - SECONDS) for mark in marks] == [("G", 240), ("C", 240)]
    assert "socket lost" in marks[0]["text"] and marks[1]["text"].startswith("Corrected once")
    axis, *_ = udf(client, f"timescale_marks?{asked}")
    assert (axis["time"] - SECONDS, axis["label"]) == (60, "G")


@pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("symbols?symbol=coinbase:NONE-SUCH", 404, "There is no market"),
        ("symbols?symbol=BTCUSD", 400, "is ambiguous"),
        ("symbols", 400, "symbol: is missing."),
        (f"history?symbol={SYMBOL}&resolution=7&from=1&to=2", 400, "is not a resolution. Accepted: 1, 3"),
        (f"history?symbol={SYMBOL}&resolution=1&from=1&to=1700000000000", 400, "is not a time in seconds"),
        (f"history?symbol={SYMBOL}&resolution=1&to=1700000000", 400, "from: is missing."),
        ("nothing", 404, "There is: config"),
    ],
)
def test_a_bad_question_is_refused_as_the_library_reads_it(
    client: Client, market: Market, address: str, status: int, sentence: str
) -> None:
    response = client.get(f"/udf/{address}")
    body = json.loads(response.content)
    assert (response.status_code, body["s"]) == (status, "error")
    assert sentence in body["errmsg"]


def test_pages_of_other_origins_head_and_compression_are_as_for_the_api(
    client: Client, bars: Market, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]
    response = client.get("/udf/config", headers={"Origin": PAGE, "Accept-Encoding": "gzip"})
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert client.head("/udf/config").status_code == 200
    monkeypatch.setattr(compression, "MIN_BYTES", 1)
    assert client.get("/udf/config", headers={"Accept-Encoding": "zstd"})["Content-Encoding"] == "zstd"
    settings.RATE_LIMIT_PER_ADDRESS = 1
    left = [int(client.get("/udf/config")["RateLimit-Remaining"]) for _ in range(2)]
    assert left[1] < left[0]


def test_the_recipe_names_the_address_of_the_feed(client: Client, db: None) -> None:
    block = blocks("TradingView's charting library", "http://testserver")["js"]
    (address,) = re.findall(r'UDFCompatibleDatafeed\("([^"]+)"', block)
    (symbol,) = re.findall(r'symbol: "([^"]+)"', block)
    assert json.loads(client.get(f"{address}/config").content)["supports_time"] is True
    assert symbol == SYMBOL
