"""What our own pages are sent beside a stream: written once for all who look, and nothing to other readers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from datastore.models import Market
from datastore.sse.messages import part_event
from datastore.sse.server import StreamServer
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario

pytestmark = pytest.mark.django_db(transaction=True)
calls: list[tuple[str, str]] = []


def counted(symbol: str, timeframe: str) -> Mapping[str, bytes]:
    """Write one part that never changes and one that always does; the second time fail."""
    calls.append((symbol, timeframe))
    if len(calls) == 2:
        raise ValueError("as a template may")
    return {"still": part_event("still", "<p>\n</p>"), "moving": part_event("moving", len(calls))}


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Yield the events of a stream as name and data."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_pages_share_what_is_written_for_them_and_get_only_what_changed(
    live_server: Any, server: StreamServer, scenario: MarketScenario, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.clear()
    settings.PAGE_PARTS = {"chart": (f"{__name__}.counted", 0.05)}
    monkeypatch.setattr("datastore.sse.page_parts.LOOK_INTERVAL_S", 0.1)
    scenario.trade(3, 7)
    symbol = scenario.market.symbol
    page = f"{live_server.url}/markets/{symbol}?part=stream&timeframe=5m"
    api = f"{live_server.url}/api/v1/candles/stream?market={symbol}&timeframe=5m"
    follow: Mapping[str, Any] = {"method": "GET", "follow_redirects": True, "timeout": 30}
    with (
        httpx.stream(url=page, **follow) as one,
        httpx.stream(url=page, **follow) as two,
        httpx.stream(url=api, **follow) as reader,
    ):
        first, second, plain = (events(each.iter_lines()) for each in (one, two, reader))
        assert next(data for name, data in first if name == "still") == "<p>\n</p>"
        seen = [next(first) for _ in range(8)]
        assert [data["market"] for name, data in seen if name == "snapshot"] in ([], [symbol])
        moving = [data for name, data in seen if name == "moving"]
        assert moving == sorted(set(moving)) and not [data for name, data in seen if name == "still"]
        assert next(data for name, data in second if name == "still"), "who comes later is shown what is known"
        assert set(calls) == {(symbol, "5m")} and len(server.hub._pages.runs()) == 1
        assert next(plain)[0] == "snapshot"
        scenario.trade(1, 9)
        assert next(plain)[0] == "candle", "and nothing of any page"
    until("nobody looks", lambda: len(server.hub) == 0 and not server.hub._pages.runs(), 30)


def test_the_pages_of_the_platform_are_told_all_that_they_show(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    Market.objects.update(followed=True)
    scenario.trade(3, 7)
    scenario.prove(2)
    symbol = scenario.market.symbol
    wanted = {
        "/?part=stream": {"tickers", "summary", "cells"},
        f"/markets/{symbol}?part=stream": {"snapshot", "side", "coverage"},
    }
    for path, names in wanted.items():
        with httpx.stream("GET", live_server.url + path, follow_redirects=True, timeout=30) as answer:
            found: dict[str, Any] = {}
            for name, data in events(answer.iter_lines()):
                found[name] = data
                if names <= found.keys():
                    break
        if "cells" in names:
            assert found["cells"]["market"] == symbol and "<svg" in found["cells"]["cells"]
            assert "SIMULATED" in found["summary"] or "Markets" in found["summary"]
        else:
            asked = httpx.get(f"{live_server.url}/api/v1/coverage?market={symbol}&timeframe=1m&limit=500").json()
            assert found["coverage"]["coverage"] == asked["coverage"]
            assert "Newest trades" in found["side"]
