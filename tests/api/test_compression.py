from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
import zstandard
from django.http import HttpResponse
from django.test import Client, RequestFactory

from datastore.api.responses.compression import MIN_BYTES, PACK, compress, preferred
from datastore.models import Market
from tests.support.api.rows import SYMBOL, Feed, at
from tests.support.datastore.records import store

ADDRESS = f"/api/v1/candles?market={SYMBOL}&timeframe=1m&from={at(0) // 1000}&to={at(600) // 1000}"
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.ZstdDecompressor().decompress,
    "gzip": gzip.decompress,
}


@pytest.fixture
def ten_minutes(market: Market) -> Market:
    feed = Feed()
    store(feed.opened(), *(feed.trade(20 * n + 1, "100.25") for n in range(27)), feed.watermark(540))
    return market


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, zstd;q=0.9", "gzip"),
        ("zstd;q=0.5, gzip;q=0.5", "zstd"),
        ("GZIP;Q=1.000 , zstd ; q=0", "gzip"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "gzip"),
        ("gzip;q=0, zstd;q=0.000", None),
        ("gzip;q=0.3, identity;q=0.7", None),
        ("gzip;q=nonsense", "gzip"),
        (";;,,=q=", None),
    ],
)
def test_the_encoding_that_the_asker_likes_best_is_chosen(accepted: str, chosen: str | None) -> None:
    assert preferred(accepted) == chosen


@pytest.mark.parametrize("encoding", PACK)
def test_an_answer_is_packed_on_request_with_the_same_etag(client: Client, ten_minutes: Market, encoding: str) -> None:
    plain = client.get(ADDRESS)
    packed = client.get(ADDRESS, headers={"Accept-Encoding": encoding})
    assert packed["Content-Encoding"] == encoding
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content)
    assert json.loads(UNPACK[encoding](packed.content))["candles"] == plain.json()["candles"]
    assert packed["ETag"] == plain["ETag"]
    assert packed["Vary"] == plain["Vary"] == "Accept-Encoding, origin"
    assert "Content-Encoding" not in plain


@pytest.mark.parametrize("encoding", PACK)
def test_coverage_and_trades_are_packed_too_where_they_are_long(
    client: Client, ten_minutes: Market, encoding: str
) -> None:
    long = client.get(f"/api/v1/trades?market={SYMBOL}", headers={"Accept-Encoding": encoding})
    assert len(json.loads(UNPACK[encoding](long.content))["trades"]) == 27
    short = client.get(f"/api/v1/coverage?market={SYMBOL}&timeframe=1m&limit=1", headers={"Accept-Encoding": encoding})
    assert "Content-Encoding" not in short
    assert short.json()["market"] == SYMBOL


def test_what_the_asker_has_already_is_not_packed(client: Client, ten_minutes: Market) -> None:
    tag = client.get(ADDRESS)["ETag"]
    again = client.get(ADDRESS, headers={"If-None-Match": tag, "Accept-Encoding": "zstd"})
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Encoding" not in again


def test_a_problem_is_not_packed(client: Client, ten_minutes: Market) -> None:
    refused = client.get(f"{ADDRESS}&{'x' * MIN_BYTES}=1", headers={"Accept-Encoding": "zstd"})
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")
    assert "Content-Encoding" not in refused


def test_nothing_is_packed_twice_and_nothing_short_at_all() -> None:
    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip, zstd"})
    again = HttpResponse(b"x" * MIN_BYTES, content_type="application/json", headers={"Content-Encoding": "br"})
    short = HttpResponse(b"x" * (MIN_BYTES - 1), content_type="application/json")
    picture = HttpResponse(b"x" * MIN_BYTES, content_type="image/png")
    for response in (again, short, picture):
        before = response.content
        assert compress(request, response) is response and response.content == before
    long = HttpResponse(b"x" * MIN_BYTES, content_type="application/json")
    assert compress(request, long)["Content-Encoding"] == "zstd"
    assert "Content-Encoding" in compress(request, long) and len(UNPACK["zstd"](long.content)) == MIN_BYTES


def test_head_names_the_encoding_without_a_body(client: Client, ten_minutes: Market) -> None:
    head = client.head(ADDRESS, headers={"Accept-Encoding": "gzip"})
    assert (head.status_code, head.content, head["Content-Encoding"]) == (200, b"", "gzip")
