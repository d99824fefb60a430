"""The page of docs/recipes.md in a real browser, with the real library: it draws what the API says, and moves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import litecharts
import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import window
from tests.support.clients.recipes import blocks
from tests.support.datastore.provider_time import ProviderTime
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario
from tests.support.sse.server import streaming

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LIBRARY = Path(litecharts.__file__).parent / "js" / "lightweight-charts.js"
SOON = 60  # seconds


def closes(page: Page) -> list[float]:
    page.wait_for_timeout(100)  # lets playwright's own loop handle what the page did
    return [bar["close"] for bar in page.evaluate("series.data()")]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder of files by a server of its own; yield its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Files(SimpleHTTPRequestHandler):
    """Serves files in silence."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_the_page_of_lightweight_charts_draws_the_candles_and_moves(
    live_server: Any, chrome: Browser, settings: Any, provider_time: ProviderTime, tmp_path: Path
) -> None:
    scenario = MarketScenario(provider_time)
    scenario.wakes = True
    for minute in range(5, 60):
        scenario.trade(60 * minute, 20 + minute % 7)
    settings.ALLOWED_HOSTS = ["*"]
    text = blocks("lightweight-charts", live_server.url)["html"].replace("coinbase:BTC-USD", scenario.market.symbol)
    (tmp_path / "chart.html").write_text(text)
    shutil.copy(LIBRARY, tmp_path / "lightweight-charts.standalone.production.js")

    with served(tmp_path) as origin, window(chrome) as page, streaming(settings):
        settings.CORS_ALLOWED_ORIGINS = [origin]
        page.goto(f"{origin}/chart.html")
        until("the candles are drawn", lambda: len(closes(page)) == 55, SOON)
        scenario.trade(0, 31)
        until("a new candle", lambda: closes(page)[-1] == 31, SOON)
        scenario.trade(60 * 30, 90)
        until("one that changed late", lambda: 90 in closes(page), SOON)
        assert len(closes(page)) == 56
        page.evaluate("stream.close()")
