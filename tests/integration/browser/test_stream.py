"""EventSource in a real browser: through the redirect, and again and again after a lost connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from datastore.access import stream_tickets
from tests.support.browser import window
from tests.support.datastore.provider_time import ProviderTime
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario
from tests.support.sse.server import streaming

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FOLLOW = """
address => {
  window.received = [];
  window.opened = 0;
  window.source = new EventSource(address);
  source.onopen = () => { opened += 1; };
  for (const name of ["snapshot", "candle", "gap", "watermark"])
    source.addEventListener(name, event => received.push({name, id: event.lastEventId, data: event.data}));
}
"""
SOON = 60  # seconds


def received(page: Page, name: str) -> list[Any]:
    page.wait_for_timeout(100)  # lets playwright's own loop handle what the page did
    return [event for event in page.evaluate("received") if event["name"] == name]


def highs(page: Page) -> list[str]:
    return [json.loads(event["data"])[2] for event in received(page, "candle")]


@pytest.mark.parametrize("own_page", [True, False], ids=["own page", "another origin's page"])
def test_a_browser_follows_the_redirect_and_comes_back_by_itself_to_where_it_was(
    live_server: Any,
    chrome: Browser,
    settings: Any,
    provider_time: ProviderTime,
    own_page: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = MarketScenario(provider_time)
    scenario.wakes = True
    scenario.trade(3, 10)
    page_at = live_server.url if own_page else live_server.url.replace("localhost", "127.0.0.1")
    settings.CORS_ALLOWED_ORIGINS = [] if own_page else [page_at]
    settings.ALLOWED_HOSTS = ["*"]
    asked: list[str] = []
    address = f"{live_server.url}/api/v1/candles/stream?market={scenario.market.symbol}&timeframe=1m"
    with window(chrome) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{page_at}/health/live")
        with streaming(settings) as server:
            monkeypatch.setattr(stream_tickets, "TICKET_TTL_S", 1)  # so that it comes back with one that has run out
            page.evaluate(FOLLOW, address)
            until("a snapshot", lambda: received(page, "snapshot"), SOON)
            scenario.trade(0, 11)
            until("a change", lambda: "11" in highs(page), SOON)
            for follower in list(server.hub._followers):
                follower.close()  # as a restarted process does
            scenario.trade(0, 12)
            until("a change after the lost connection", lambda: "12" in highs(page), SOON)
        scenario.trade(0, 13)  # nobody serves streams now
        with streaming(settings, port=settings.SSE_PORT):
            until("a change after the process came back", lambda: "13" in highs(page), SOON)
            assert len(received(page, "snapshot")) == 1, "it did not go on from its last id"
            assert page.evaluate("opened") >= 3
            page.evaluate("source.close()")
    streams = [urlsplit(url).path for url in asked if "stream" in url]
    assert streams[0] == "/api/v1/candles/stream"
    assert streams[1:] == ["/stream/candles"] * len(streams[1:])  # Chromium comes back to where it was led
