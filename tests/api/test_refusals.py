from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from django.db import OperationalError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from datastore.api.params import query_params
from datastore.models import Market
from datastore.timeframes.timeframe import TIMEFRAMES
from tests.support.api.rows import SYMBOL, body_of
from tests.support.examples import examples

CANDLES = f"/api/v1/candles?market={SYMBOL}&timeframe=1m"
TEMPTING = f"""{SYMBOL} BTC/USD {" ".join(TIMEFRAMES)} 0 -1 500 10000 1795435200 1795435200000 {"9" * 30} 2026-11-23
2026-11-23T14:30:00Z 9999-12-31 nan \x00 true json csv float flat WyJh % '"""
words = st.text(max_size=12) | st.sampled_from(TEMPTING.split())
queries = st.lists(
    st.tuples(st.sampled_from([*query_params.CANDLES, "cursor"]) | st.text(max_size=6), words), max_size=7
)
noise = st.binary(max_size=40).map(lambda raw: quote(raw, safe="&=%;+?/"))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("&from=1", "from"),
        ("&to=1970-01-01", "to"),
        ("&from=2026-11-24&to=2026-11-23", "from"),
        ("&limit=0", "limit"),
        ("&closed_only=x", "closed_only"),
        ("&numbers=x", "numbers"),
        ("&format=xlsx", "format"),
        ("&fill=zero", "fill"),
        ("&wait=31", "wait"),
        ("&timeframe=1m", "timeframe"),
    ],
)
def test_one_bad_parameter_of_each_kind_is_named(client: Client, market: Market, query: str, name: str) -> None:
    body = body_of(client, CANDLES + query, 400)
    assert list(body["errors"]) == [name]
    assert body["detail"].startswith(name)


@pytest.mark.parametrize("address", ["candles", "coverage", "trades"])
def test_a_missing_market_is_named(client: Client, market: Market, address: str) -> None:
    assert "market" in body_of(client, f"/api/v1/{address}", 400)["errors"]


@pytest.mark.parametrize("address", ["candles?timeframe=1m&", "coverage?timeframe=1m&", "trades?"])
def test_an_unknown_market_is_404_with_near_names(client: Client, market: Market, address: str) -> None:
    body = body_of(client, f"/api/v1/{address}market=coinbase:BTC-USDT", 404)
    assert "coinbase:BTC-USD" in body["errors"]["market"][0]


def test_an_ambiguous_market_names_the_choices(client: Client, market: Market) -> None:
    body = body_of(client, "/api/v1/candles?market=BTC/USD&timeframe=1m", 400)
    assert "coinbase:BTC-USD, kraken:BTC-USD" in body["errors"]["market"][0]


@pytest.mark.parametrize("path", ["/", "nothing", "candles/", "candles/x", "actors/producer/a/b", "%00", "é"])
def test_an_address_that_leads_nowhere_is_a_problem_not_a_page(client: Client, market: Market, path: str) -> None:
    for method in (client.get, client.post, client.put, client.delete):
        response = method(f"/api/v1/{path}")
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["candles", "coverage", "trades", "actors"])
def test_a_method_that_is_not_served_is_405_with_the_allowed_ones(client: Client, path: str) -> None:
    for method in (client.post, client.put, client.patch, client.delete):
        response = method(f"/api/v1/{path}")
        assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")
        assert "GET" in response["Allow"]


def test_options_names_the_methods_as_json(client: Client) -> None:
    response = client.options("/api/v1/candles")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("accept", ["text/html", "text/plain", "nonsense", "application/json;q=x"])
def test_a_browser_gets_json_too(client: Client, market: Market, accept: str) -> None:
    body_of(client, CANDLES, Accept=accept)
    body_of(client, "/api/v1/candles", 400, Accept=accept)


def test_a_foreign_host_is_a_problem_not_a_page(client: Client) -> None:
    response = client.get("/api/v1/markets", headers={"Host": "evil.example"})
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("path", ["candles?market=a&timeframe=1m", "trades?market=a", "markets", "actors"])
def test_a_database_that_is_away_is_503(client: Client, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.cursor", away)
    response = client.get(f"/api/v1/{path}")
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert response["Retry-After"] == "5"


@examples(150)
@given(address=st.sampled_from(["candles", "coverage", "trades", "markets", "actors"]), query=queries.map(urlencode))
def test_any_query_is_answered_or_refused_by_name(client: Client, market: Market, address: str, query: str) -> None:
    response = client.get(f"/api/v1/{address}?{query}")
    assert response.status_code in (200, 400, 404)
    body = json.loads(response.content)
    assert (response.status_code == 200) == ("errors" not in body)


@examples(100)
@given(address=st.sampled_from(["candles?", "trades?", "markets/", "actors/", "actors/producer/", ""]), rest=noise)
def test_any_noise_in_an_address_is_refused_in_one_shape(
    client: Client, market: Market, address: str, rest: str
) -> None:
    response = client.get(f"/api/v1/{address}{rest}")
    assert response.status_code in (200, 400, 404)
    assert response["Content-Type"] in ("application/json", "application/problem+json")
    json.loads(response.content)


@pytest.mark.parametrize(
    "address",
    ["/api/v1/reconciliation", "/api/v1/digests", "/udfs/config", "/api/v3/klines", "/api/candles", "/candles"],
)
def test_an_address_with_nothing_is_told_those_that_there_are(client: Client, db: None, address: str) -> None:
    detail = body_of(client, address, 404)["detail"]
    assert f"There is nothing at '{address}'" in detail
    assert "there are: candles, candles/stream, coverage" in detail
    assert "streams/{number}/events" in detail
    assert "actors/{kind}/{name}/reset" in detail
    assert "Allow" not in client.options(address).headers, "no method is allowed where there is nothing"
