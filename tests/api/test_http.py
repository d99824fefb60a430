"""What HTTP promises, at every address that is read: HEAD, no ranges, compression, CORS, the rate limit."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from django.test import Client

from datastore.models import IdRange, Market
from datastore.series.written_format import FORMATS
from tests.support.api.declared import operations
from tests.support.api.rows import BEGAN, SYMBOL, Feed
from tests.support.datastore.records import store

PAGE = "https://charts.example.org"
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
}


def addresses() -> list[str]:
    """Return every address that is read, with the document's examples of what it needs; candles in each format."""
    found: list[str] = []
    for (path, method), operation in operations().items():
        if method != "GET" or "{number}" in path or "{kind}" in path:
            continue  # there is no such row
        needed = [each for each in operation["parameters"] if each["in"] == "query" and each["required"]]
        query = "&".join(f"{each['name']}={each['example']}" for each in needed)
        found.append(f"{path.replace('{asked}', SYMBOL)}?{query}".rstrip("?"))
    series = f"/api/v1/candles?market={SYMBOL}&timeframe=1m"
    return [*found, *(f"{series}&format={name}" for name in FORMATS), f"/api/v1/trades?market={SYMBOL}&format=csv"]


@pytest.fixture
def series(market: Market) -> Market:
    """A minute of trades with ids, known as BTCUSDT too, for that is Binance's example."""
    feed = Feed()
    store(feed.opened(), *(feed.trade(n, "100.25") for n in range(1, 50)), feed.watermark(120))
    IdRange.objects.create(market=market, first=1, last=1, since=BEGAN, until=BEGAN)
    return market


def ask(client: Client, method: str, address: str, **headers: str) -> Any:
    answer = client.generic(method, address.replace("BTCUSDT", SYMBOL), headers={"Origin": PAGE, **headers})
    assert answer.status_code in (200, 307, 400), (address, answer.content)
    return answer


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.parametrize("address", addresses())
def test_every_address_keeps_the_rules_of_http(client: Client, series: Market, settings: Any, address: str) -> None:
    settings.CORS_ALLOWED_ORIGINS, settings.RATE_LIMIT_PER_ADDRESS = [PAGE], 6000
    whole = ask(client, "GET", address)
    body = content(whole)
    assert whole["Access-Control-Allow-Origin"] == PAGE and "RateLimit-Remaining" in whole

    head = ask(client, "HEAD", address)
    assert (head.status_code, content(head)) == (whole.status_code, b"")
    assert head["Content-Type"] == whole["Content-Type"] and ("ETag" in head) == ("ETag" in whole)

    part = ask(client, "GET", address, Range="bytes=0-9")
    assert part.status_code == whole.status_code and len(content(part)) >= min(len(body), 11)
    assert not {"Accept-Ranges", "Content-Range"} & {*whole.headers, *head.headers, *part.headers}

    for encoding, unpack in UNPACK.items():
        packed = ask(client, "GET", address, **{"Accept-Encoding": encoding})
        sent = content(packed)
        if "Content-Encoding" in packed:
            assert packed["Content-Encoding"] == encoding and "Accept-Encoding" in packed["Vary"]
            assert len(unpack(sent)) > len(sent)
        assert ask(client, "HEAD", address, **{"Accept-Encoding": encoding}).get("Content-Encoding") == packed.get(
            "Content-Encoding"
        )
