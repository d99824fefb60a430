from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from datastore.api.openapi.operations import OPERATIONS
from datastore.api.params.query_params import CANDLES
from datastore.reference.markets import ensure_markets
from tests.support.browser import OVERFLOW, browser

pytestmark = pytest.mark.browser


@pytest.fixture
def market(live_server: Any) -> str:
    return ensure_markets(["coinbase:BTC-USD"])[0].symbol


class Heard:
    """What a page asks for, and what it complains about."""

    def __init__(self, page: Page) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on(
            "console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text)
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_reads_the_api_and_tries_it_out(market: str, live_server: Any, width: int) -> None:
    with browser(width) as page:
        heard = Heard(page)
        page.goto(f"{live_server.url}/api/v1/docs")
        page.wait_for_selector(".opblock")
        assert page.locator(".opblock").count() == len(OPERATIONS)
        assert page.locator(".errors-wrapper").count() == 0
        block = page.locator("#operations-Markets-markets")
        block.locator(".opblock-summary-control").click()
        block.locator(".try-out__btn").click()
        block.locator("button.execute").click()
        page.locator("#operations-Series-candles .opblock-summary-control").click()
        page.wait_for_selector("#operations-Series-candles [data-param-name]")
        assert page.locator("#operations-Series-candles [data-param-name]").count() == len(CANDLES)
        answer = block.locator(".live-responses-table .response")
        assert answer.locator(".response-col_status").inner_text().strip().startswith("200")
        assert market in answer.locator(".highlight-code").first.inner_text()
        assert page.evaluate(OVERFLOW) <= 0
    assert heard.complaints == []
    assert any("/api/v1/markets" in url for url in heard.asked)
    assert all(url.startswith((live_server.url, "data:")) for url in heard.asked)
