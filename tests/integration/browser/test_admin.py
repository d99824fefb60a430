from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User

from actor_runtime.models import TransitionLog
from consumers.models import FixedTopicConsumer
from datastore.models import DeadLetter, Market, Stream
from datastore.reference.markets import ensure_markets
from ingestion.models import Producer
from tests.support.api.admin_rows import MAKERS
from tests.support.browser import OVERFLOW, window

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CUT = "(() => { const box = document.querySelector('.results'); return box.scrollWidth - box.clientWidth })()"
pytestmark = pytest.mark.browser


def sign_in(page: Page, base: str, path: str) -> None:
    page.goto(f"{base}/admin/login/?next={path}")
    page.fill("#id_username", "ada")
    page.fill("#id_password", "long and secret")
    page.click("input[type=submit]")
    page.wait_for_url(f"{base}{path}")


@pytest.fixture
def errored(live_server: Any) -> FixedTopicConsumer:
    """Make a consumer in Error, a market, and a superuser."""
    User.objects.create_superuser("ada", password="long and secret")
    ensure_markets(["coinbase:BTC-USD"])
    actor = FixedTopicConsumer.objects.create(name="fixed-tick-1")
    with FixedTopicConsumer.locked(actor.name) as locked:
        locked.message_received()
        locked.process_failure(reason="the schema changed")
    return actor


def test_a_person_sees_the_state_of_an_actor_and_resets_it(
    errored: FixedTopicConsumer, live_server: Any, chrome: Browser
) -> None:
    with window(chrome) as page:
        sign_in(page, live_server.url, "/admin/consumers/fixedtopicconsumer/")
        row = page.locator("#result_list tbody tr").filter(has_text="fixed-tick-1")
        assert "Error" in row.inner_text()
        assert "the schema changed" in row.inner_text()
        row.locator("input.action-select").check()
        page.select_option("select[name=action]", label="Reset errored actors")
        page.click("button[name=index]")
        page.wait_for_selector(".messagelist")
        assert "Idle" in page.locator("#result_list tbody tr").filter(has_text="fixed-tick-1").inner_text()
    log = TransitionLog.objects.get(event="RESET")
    assert (log.name, log.by) == ("fixed-tick-1", "ada (admin)")


def test_the_page_of_an_actor_draws_its_chart_with_the_state_lit(
    errored: FixedTopicConsumer, live_server: Any, chrome: Browser
) -> None:
    with window(chrome) as page:
        sign_in(page, live_server.url, f"/admin/consumers/fixedtopicconsumer/{errored.pk}/change/")
        drawn = page.locator("svg.chart").text_content() or ""
        assert all(label in drawn for label in ("Idle", "Processing Message", "Writing to DB", "Updating Redis"))
        assert page.locator("svg.chart g.lit").get_attribute("data-state") == "error"
        assert "PROCESS_FAILURE" in page.inner_text("body")


def test_an_actor_is_reset_on_its_own_page(errored: FixedTopicConsumer, live_server: Any, chrome: Browser) -> None:
    with window(chrome) as page:
        sign_in(page, live_server.url, f"/admin/consumers/fixedtopicconsumer/{errored.pk}/change/")
        page.click("text=Reset fixed-tick-1")
        page.wait_for_selector(".messagelist")
        assert "fixed-tick-1 is reset." in page.inner_text(".messagelist")
        assert page.locator("svg.chart g.lit").get_attribute("data-state") == "idle"


def test_ending_a_stream_asks_first(errored: FixedTopicConsumer, live_server: Any, chrome: Browser) -> None:
    stream = MAKERS[Stream](1)
    with window(chrome) as page:
        sign_in(page, live_server.url, "/admin/datastore/stream/")
        page.check("input.action-select")
        page.select_option("select[name=action]", label="End streams")
        page.click("button[name=index]")
        page.wait_for_selector("form.answer")
        assert f"Stream {stream.pk}: kraken:A1-EUR 1m, requested" in page.inner_text(".chosen-rows")
        page.click("text=End them")
        page.wait_for_selector(".messagelist")
    assert Stream.objects.get(pk=stream.pk).state == "ended"


@pytest.mark.parametrize("width", [1280, 390])
def test_every_list_fits_and_nothing_is_refused_by_the_policy(
    errored: FixedTopicConsumer, live_server: Any, chrome: Browser, width: int
) -> None:
    told: list[str] = []
    made = {model: make(number).pk for number, (model, make) in enumerate(MAKERS.items())}
    with window(chrome, width=width) as page:
        page.on("console", lambda message: told.append(f"{page.url}: {message.text}"))
        sign_in(page, live_server.url, "/admin/")
        for model in MAKERS:
            page.goto(f"{live_server.url}/admin/{model._meta.app_label}/{model._meta.model_name}/")  # type: ignore[attr-defined]
            assert page.evaluate(OVERFLOW) <= 0, page.url
            inside = page.evaluate(CUT)
            assert width < 1280 or inside <= 0, page.url
        for model in (FixedTopicConsumer, Stream, DeadLetter, Market):  # a chart, steps, bytes, figures
            address = f"{live_server.url}/admin/{model._meta.app_label}/{model._meta.model_name}"
            page.goto(f"{address}/{made[model]}/change/")
            assert page.evaluate(OVERFLOW) <= 0, page.url
        page.wait_for_selector("#market-chart-notice:visible")
        assert "No candles are stored" in page.inner_text("#market-chart-notice")
    assert told == []


def test_the_admin_and_the_pages_share_the_choice_of_dark_or_light(
    errored: FixedTopicConsumer, live_server: Any, chrome: Browser
) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    with window(chrome) as page:
        sign_in(page, live_server.url, "/admin/")
        light = page.evaluate(colour)
        page.evaluate("localStorage.setItem('theme', 'dark')")
        page.reload()
        dark = page.evaluate(colour)
        page.goto(f"{live_server.url}/sign-in")
        assert page.evaluate(colour) == dark != light


def test_no_page_asks_for_anything_outside(errored: FixedTopicConsumer, live_server: Any, chrome: Browser) -> None:
    asked: list[str] = []
    producer = Producer.objects.create(name="producer-live-1")
    with window(chrome) as page:
        page.on("request", lambda request: asked.append(request.url))
        sign_in(page, live_server.url, f"/admin/ingestion/producer/{producer.pk}/change/")
    assert asked
    assert all(url.startswith((live_server.url, "data:")) for url in asked)
