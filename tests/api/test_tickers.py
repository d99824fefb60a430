from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datastore.models import Market
from datastore.reference.markets import unfollow
from datastore.reference.pairs import Listed, save_pair_list
from tests.support.api.rows import SYMBOL, Feed, at, body_of
from tests.support.datastore.records import store

ETH = "coinbase:ETH-USD"


def test_a_ticker_tells_price_day_and_freshness_to_the_digit(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1, "100.50", "2"), feed.trade(61, "99.00", "0.5"), feed.watermark(590))
    body = body_of(client, f"/api/v1/tickers?markets={SYMBOL}")
    (ticker,) = body["tickers"]
    assert {name: ticker[name] for name in ("last", "open", "high", "low", "change", "change_percent")} == {
        "last": "99",
        "open": "100.5",
        "high": "100.5",
        "low": "99",
        "change": "-1.5",
        "change_percent": "-1.4925",
    }
    assert (ticker["volume"], ticker["quote_volume"], ticker["trades"]) == ("2.5", "250.5", 2)
    assert (ticker["last_trade"], ticker["live_until"]) == (at(61) // 1000, at(590) // 1000)
    assert ticker["complete"] is False, "the feed is ten minutes old"
    assert body["server_time"] - 86_460_000 <= ticker["from"] <= body["server_time"] - 86_400_000
    single = body_of(client, f"/api/v1/markets/{SYMBOL}")
    assert ticker["feed"] == single["feed"] and ticker["live_until"] == single["live_until"]


def test_a_ticker_agrees_with_the_candles_of_the_same_minutes(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), *(feed.trade(second, f"{second}.5") for second in range(1, 590, 7)), feed.watermark(590))
    (ticker,) = body_of(client, f"/api/v1/tickers?markets={SYMBOL}")["tickers"]
    rows = body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1m&limit=1441&wait=0")["candles"]
    assert Decimal(ticker["volume"]) == sum(Decimal(row[5]) for row in rows)
    assert (ticker["open"], ticker["last"]) == (rows[0][1], rows[-1][4])


def test_without_names_all_followed_markets_are_told_by_symbol(client: Client, market: Market) -> None:
    unfollow(Market.objects.get(symbol="kraken:BTC-USD"))
    tickers = body_of(client, "/api/v1/tickers")["tickers"]
    assert [ticker["market"] for ticker in tickers] == [SYMBOL, ETH]
    assert {ticker["feed"] for ticker in tickers} == {"none"}


def test_names_are_taken_in_any_spelling_and_told_once(client: Client, market: Market) -> None:
    save_pair_list("cryptocompare", [Listed("Kraken", "SOL", "EUR")])
    found = body_of(client, f"/api/v1/tickers?markets=eth/usd,{SYMBOL},{SYMBOL},SOL-EUR")["tickers"]
    assert [ticker["market"] for ticker in found] == [SYMBOL, ETH, "kraken:SOL-EUR"]
    assert [ticker["followed"] for ticker in found] == [True, True, False]


def test_names_in_other_spellings_cost_no_statements_of_their_own(client: Client, market: Market) -> None:
    save_pair_list("cryptocompare", [Listed("Kraken", f"A{n}", "EUR") for n in range(60)])
    counts = []
    for start, stop in ((0, 3), (10, 40)):
        names = ",".join(f"a{n}/eur" for n in range(start, stop))
        with CaptureQueriesContext(connection) as queries:
            assert len(body_of(client, f"/api/v1/tickers?markets={names}")["tickers"]) == stop - start
        counts.append(len(queries))
    print(f"\n3 and 30 unknown names: {counts} statements")
    assert counts[0] == counts[1]


def test_an_unknown_name_among_them_is_404_with_near_names(client: Client, market: Market) -> None:
    body = body_of(client, f"/api/v1/tickers?markets={SYMBOL},coinbase:BTC-USDT", 404)
    assert SYMBOL in body["errors"]["market"][0]


@pytest.mark.parametrize("names", ["", ",", f"{SYMBOL},", ",".join(f"a:B{n}-C" for n in range(501)), "a" * 123])
def test_a_list_that_is_none_is_400(client: Client, market: Market, names: str) -> None:
    assert list(body_of(client, f"/api/v1/tickers?markets={names}", 400)["errors"]) == ["markets"]
