"""The stream of tickers on real servers: all markets first, then those that changed, then those that left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from datastore.models import Market
from datastore.sse.server import StreamServer
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario

pytestmark = pytest.mark.django_db(transaction=True)


def tickers(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the tickers of a stream one by one."""
    for line in lines:
        if line.startswith("data: "):
            yield from json.loads(line.removeprefix("data: "))


def test_a_reader_gets_every_market_and_then_what_changes(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    Market.objects.update(followed=True)
    scenario.trade(3, 7)
    scenario.prove(2)
    symbol = scenario.market.symbol
    address = f"{live_server.url}/api/v1/tickers/stream"
    with httpx.stream("GET", address, follow_redirects=True, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = tickers(answer.iter_lines())
        first = next(found)
        asked = httpx.get(f"{live_server.url}/api/v1/tickers").json()["tickers"][0]
        moving = {"freshness"}  # the age goes on while we ask
        assert {k: v for k, v in first.items() if k not in moving} == {
            k: v for k, v in asked.items() if k not in moving
        }
        assert (first["market"], first["last"]) == (symbol, "7")

        scenario.trade(1, 9)
        assert next(one for one in found if one["last"] != "7")["last"] == "9"

        Market.objects.update(followed=False)
        assert next(one for one in found if not one["followed"]) == {"market": symbol, "followed": False}
    until("nobody follows", lambda: len(server.hub) == 0, 30)


def test_readers_share_one_read(live_server: Any, server: StreamServer, scenario: MarketScenario) -> None:
    Market.objects.update(followed=True)
    scenario.trade(3, 7)
    address = f"{live_server.url}/api/v1/tickers/stream"
    with (
        httpx.stream("GET", address, follow_redirects=True, timeout=30) as one,
        httpx.stream("GET", address, follow_redirects=True, timeout=30) as two,
    ):
        first, second = tickers(one.iter_lines()), tickers(two.iter_lines())  # dropped, they would close the stream
        assert next(first)["market"] == next(second)["market"] == scenario.market.symbol
        assert server.hub._tickers is not None and len(server.hub._tickers[0].followers) == 2
