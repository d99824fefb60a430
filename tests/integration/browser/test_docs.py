from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from coordination.models import Coordinator
from datastore.api.openapi.document import ALL
from datastore.api.openapi.operations import OPERATIONS, Operation
from datastore.api.params.query_params import CANDLES
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import ApiKey, DatastoreRequest, DeadLetter, GapRepair
from datastore.reference.markets import ensure_markets
from datastore.streams import lifecycle
from streaming.broker_factory import connect
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.keys import saved_key
from tests.support.browser import OVERFLOW, window
from tests.support.datastore.provider_time import ProviderTime
from tests.support.sse.scenario import MarketScenario
from tests.support.sse.server import streaming
from tests.support.streaming.memory import MemoryBroker

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = pytest.mark.browser

Operations = Mapping[tuple[str, str], Operation]
UNREADABLE = Refusal(RefusalCode.UNREADABLE, "not an object")


@pytest.fixture
def market(live_server: Any) -> str:
    return ensure_markets(["coinbase:BTC-USD"])[0].symbol


class Heard:
    """What a page asks for, and what it complains about."""

    def __init__(self, page: Page) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", self.note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_reads_the_api_and_tries_it_out(market: str, live_server: Any, chrome: Browser, width: int) -> None:
    with window(chrome, width) as page:
        heard = Heard(page)
        page.goto(f"{live_server.url}/api/v1/docs")
        page.wait_for_selector(".opblock")
        assert page.locator(".opblock").count() == len(ALL)
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


class Trial(NamedTuple):
    """What a person enters to try an operation out, and the status that answers it."""

    status: int
    parameters: dict[str, str] = {}
    body: dict[str, str] | None = None


@pytest.fixture
def trials(live_server: Any, provider_time: ProviderTime, settings: Any) -> Iterator[dict[str, Trial]]:
    """Make what every operation needs; return what to enter for each, by its name."""
    scenario = MarketScenario(provider_time)
    scenario.trade(3, 10)
    settings.STREAM_URL = "memory://docs"
    connect(settings.STREAM_URL, settings.STREAM_MAXLEN).admin().create_topic("tick-data")
    symbol = scenario.market.symbol
    store_dead_letters([DeadLetterRecord("tick-data", symbol, UNREADABLE, b"{", "1-0")])
    letter = {"number": str(DeadLetter.objects.get().pk)}
    request = {"number": str(DatastoreRequest.objects.create(name="request-1").pk)}
    Coordinator.objects.create(name="coordinator-1")
    with Coordinator.locked("coordinator-1") as coordinator:
        coordinator.request_create_topic()
        coordinator.create_topic_failure(reason="the disk is full")
    actor = {"kind": "coordinator", "name": "coordinator-1"}
    stream = {"number": str(lifecycle.create(scenario.market, "1m", "a test")[0].pk)}
    start = datetime(2023, 11, 5, tzinfo=UTC)
    span = {"start": start, "stop": start + timedelta(minutes=1)}
    hole = GapRepair.objects.create(market=scenario.market, resolution=60, reason="the connection was lost", **span)
    gap = {"number": str(hole.pk)}
    market, series = {"market": symbol}, {"market": symbol, "timeframe": "1m"}
    yield {
        "candles": Trial(200, series),
        "followCandles": Trial(200, series),
        "coverage": Trial(200, series),
        "trades": Trial(200, market),
        "backfill": Trial(202, body={**series, "from": "2023-11-01", "to": "2023-11-02"}),
        "retryGap": Trial(202, gap),
        "request": Trial(200, request),
        "markets": Trial(200),
        "followMarket": Trial(200, body=market),
        "market": Trial(200, {"asked": symbol}),
        "unfollowMarket": Trial(200, {"asked": symbol}),
        "tickers": Trial(200),
        "followTickers": Trial(200),
        "streams": Trial(200),
        "makeStream": Trial(202, body={"market": symbol, "timeframe": "5m"}),
        "stream": Trial(200, stream),
        "followStream": Trial(200, stream),
        "renewStream": Trial(200, stream),
        "endStream": Trial(202, stream),
        "deadLetters": Trial(200),
        "deadLetter": Trial(200, letter),
        "replay": Trial(202, letter),
        "actors": Trial(200),
        "actorLog": Trial(200),
        "actor": Trial(200, actor),
        "reset": Trial(200, actor),
        "root": Trial(200),
        "schema": Trial(200),
        "docs": Trial(200),
    }
    MemoryBroker.forget("docs")


def try_out(page: Page, operation: Operation, trial: Trial) -> str:
    """Try an operation out as a person does; return the status that the page shows."""
    block = page.locator(f'[id="operations-{operation.group.replace(" ", "_")}-{operation.name}"]')
    block.locator(".opblock-summary-control").click()
    block.locator(".try-out__btn").click()
    for name, value in trial.parameters.items():
        field = block.locator(f'tr[data-param-name="{name}"]').locator("input, select").first
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    if trial.body is not None:
        block.locator("textarea.body-param__text").fill(json.dumps(trial.body))
    block.locator("button.execute").click()
    status = block.locator(".live-responses-table .response .response-col_status")
    status.wait_for()
    shown: str = status.inner_text().split()[0]
    block.locator(".opblock-summary-control").click()
    return shown


def one_of_each_shape(operations: Operations) -> Operations:
    """Return the first operation of each form that Swagger UI makes: its method, what is entered, what comes back."""
    chosen: dict[tuple[object, ...], tuple[str, str]] = {}
    for path, method in operations:
        operation = operations[path, method]
        enters = ("{" in path, bool(operation.query), operation.body is not None)
        comes = (path.endswith("stream"), *operation.answers[min(operation.answers)].kinds)
        chosen.setdefault((method, *enters, *comes), (path, method))
    return {key: operations[key] for key in chosen.values()}


# For each step that a person takes, Swagger UI resolves the whole document: a second and a half of computing for an
# operation.
@pytest.mark.parametrize(
    "operations",
    [
        pytest.param(one_of_each_shape(OPERATIONS), id="one of each shape"),
        pytest.param(OPERATIONS, id="all", marks=pytest.mark.chaos),
    ],
)
def test_operations_of_the_page_can_be_executed(
    operations: Operations, trials: dict[str, Trial], live_server: Any, chrome: Browser, settings: Any
) -> None:
    assert trials.keys() == {each.name for each in OPERATIONS.values()}
    key = saved_key("a person", ApiKey.Scope.WRITE)
    with streaming(settings), window(chrome) as page:
        heard = Heard(page)
        page.goto(f"{live_server.url}/api/v1/docs")
        page.locator("button.authorize").first.click()
        page.locator(".auth-container input").first.fill(key)
        page.locator(".auth-container button.authorize").first.click()
        page.locator(".btn-done").first.click()
        shown = {each.name: try_out(page, each, trials[each.name]) for each in operations.values()}
        page.locator("#operations-Series-followCandles .opblock-summary-control").click()
        events = page.locator(
            "#operations-Series-followCandles .live-responses-table .response .response-col_description"
        )
        assert "event: snapshot" in events.inner_text()
    assert shown == {each.name: str(trials[each.name].status) for each in operations.values()}
    assert heard.complaints == []
