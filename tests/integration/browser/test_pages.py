"""The pages in a real browser on a running platform, at ten times the speed: a minute takes six seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from streaming.redis.broker import KEY_PREFIX
from streaming.topics import TICK_DATA
from tests.support.e2e.fixtures import home
from tests.support.e2e.platform import FEW_TRADES, Platform
from tests.support.pages import Visitor, make_administrator, visitor
from tests.support.polling import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["home"]
pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(400)]
SPEED = 10
BTC, ETH = "coinbase:BTC-USD", "coinbase:ETH-USD"
PAGES = (
    "/",
    f"/markets/{BTC}",
    "/actors",
    "/streams",
    "/gaps",
    "/requests",
    "/dead-letters",
    "/system",
    "/alerts",
    "/sign-in",
)
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
# The colours of the ribbon, from the left to the right edge of what it shows.
RIBBON = """
canvas => {
  const pen = canvas.getContext("2d");
  const y = Math.floor(canvas.height * 9 / 26);
  const seen = new Set();
  for (let x = 0; x < canvas.width; x += 1) seen.add([...pen.getImageData(x, y, 1, 1).data].slice(0, 3).join());
  return [...seen];
}
"""
COLOUR = """
name => {
  const probe = document.createElement("i");
  document.body.append(probe);
  probe.className = `key ${name}`;
  probe.style.color = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  const colour = getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).join();
  probe.remove();
  return colour;
}
"""


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this module."""
    settings = {
        "MARKETS": f"{BTC},{ETH}",
        "STALE_AFTER": str(20 * SPEED),
        "SIMULATOR_ARGS": f"--speed {SPEED} --rate {FEW_TRADES}",
    }
    with Platform(home, settings) as running:
        make_administrator(running)
        until("trades", lambda: running.candles(BTC, limit=2)["candles"], 60)
        yield running


@pytest.fixture(autouse=True)
def healed(platform: Platform) -> Iterator[None]:
    """End what a test asked for and what came of it: the next one begins with a live feed and nothing missing."""
    yield
    platform.control("reset")
    for (name,) in platform.rows("select name from ingestion_producer where state = 'error' and reset_at is null"):
        platform.manage("reset_actor", name)
    until("the feed is live", lambda: is_live(platform), 60)


def is_live(platform: Platform) -> bool:
    """Return whether the feeds of both markets are live."""
    return all(one["feed"] == "live" for one in platform.api("tickers").json()["tickers"])


@pytest.fixture
def reader(platform: Platform, chrome: Browser) -> Iterator[Visitor]:
    """A reader who is not signed in; no page may complain."""
    with visitor(chrome, f"http://127.0.0.1:{platform.port}") as found:
        yield found
        assert found.complaints == []


@pytest.fixture
def keeper(reader: Visitor) -> Visitor:
    """The same, signed in as the administrator."""
    reader.sign_in()
    return reader


# Not each width in each theme: a theme is colours only, and moves nothing on the page.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_fits_the_screen_can_be_read_and_loads_nothing_from_elsewhere(
    platform: Platform, chrome: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    base = f"http://127.0.0.1:{platform.port}"
    with visitor(chrome, base, width, scheme) as found:
        foreign: list[str] = []
        found.page.on(
            "request", lambda one: foreign.append(one.url) if not one.url.startswith("http://127.0.0.1:") else None
        )
        found.sign_in()
        for path in PAGES:
            found.open(path)
            found.page.wait_for_timeout(300)
            assert found.overflow() <= 0, path
            assert found.barriers() == [], path
        assert (foreign, found.complaints) == ([], [])


def test_prices_move_on_the_page_of_the_markets(reader: Visitor) -> None:
    page = reader.open("/")
    price = page.locator(f'tr[data-market="{BTC}"] .last')
    before = price.inner_text()
    reader.until("another price", lambda: price.inner_text() != before, 20)
    assert page.locator("#rows tr").count() == 2
    page.fill("#search", "eth")
    reader.until("one row", lambda: page.locator("#rows tr:visible").count() == 1, 10)
    page.click('[data-sort="last"]')
    reader.until("an address that says so", lambda: page.url.endswith("?q=eth&sort=last&down=1"), 10)


def test_the_last_bar_moves_with_a_trade_and_the_page_asks_for_nothing_more(
    platform: Platform, reader: Visitor
) -> None:
    asked: list[str] = []
    reader.page.on("request", lambda one: asked.append(one.url.removeprefix(reader.base)))
    page = reader.open(f"/markets/{BTC}")
    reader.until("a price", lambda: page.locator("#legend b").count() > 4)
    assert sum(url.startswith("/api/v1/candles?") for url in asked) == 1, "what the head asks is what the script takes"
    reader.until("the stream", lambda: any("/stream/candles" in url for url in asked))
    asked.clear()
    words, side = page.inner_text("#certificate"), page.inner_text("#side")
    # Every price that the page shows from now on: trades go on while it is looked at.
    page.evaluate("""() => {
      window.seen = [];
      const price = document.getElementById("price");
      new MutationObserver(() => seen.push(price.dataset.value)).observe(price, {childList: true, subtree: true});
    }""")
    stored = platform.candles(BTC, limit=5)["candles"][-1][4]
    shown = page.evaluate("document.getElementById('price').dataset.value")
    reader.until("the stored price, or a newer one", lambda: stored == shown or page.evaluate("seen.length"))
    reader.until("another minute in the certificate", lambda: page.inner_text("#certificate") != words)
    reader.until("other trades beside it", lambda: page.inner_text("#side") != side)
    # The browser looks at its icon again when the address names what is shown.
    assert [url for url in asked if not url.endswith("icon.svg")] == []


def test_panning_loads_older_candles_and_the_address_can_be_shared(reader: Visitor) -> None:
    page = reader.open(f"/markets/{BTC}")
    reader.until("candles", lambda: page.locator("#legend b").count() > 4)
    page.focus("#chart")
    with page.expect_response(lambda answer: "/api/v1/candles?" in answer.url and "&to=" in answer.url, timeout=20_000):
        page.keyboard.press("Home")
    reader.until("the address names what is shown", lambda: "from=" in page.url and "to=" in page.url)
    words = page.inner_text("#certificate")
    again = page.context.new_page()
    again.goto(page.url)
    first_line = words.partition("\n")[0][:25]
    reader.until("the same stretch", lambda: again.inner_text("#certificate").startswith(first_line))
    again.close()
    page.bring_to_front()  # a page in the background is not drawn
    page.focus("#chart")
    page.keyboard.press("End")
    reader.until("the newest", lambda: "from=" not in page.url)


def test_a_page_that_stays_open_forgets_its_oldest_candles_and_cuts_nothing_to_pieces(reader: Visitor) -> None:
    found = reader.open("/sign-in").evaluate("""async () => {
      const { Series } = await import("/static/dashboard/series.js");
      const series = new Series("a:B-C", "1m", 60);
      const live = { state: "live", proof: "ids", quiet: 0, reason: null, code: null, repair: null };
      for (let at = 1; at <= 50; at++) {
        series.put([at * 60000, "1", "1", "1", "1", "1", "1", 1, "live", true, 0]);
        const coverage = [{ ...live, from: Math.max(at - 9, 1) * 60000, to: (at + 1) * 60000 }];
        series.take({ candles: [], coverage }, false);
      }
      const [pieces, gone] = [series.segments.length, series.keepNewest(10)];
      return [pieces, gone, series.times.length, series.rows.size, series.segments[0].from / 60000];
    }""")
    assert found == [1, 40, 10, 10, 41]


def test_a_timeframe_is_switched_by_button_and_by_key(reader: Visitor) -> None:
    page = reader.open(f"/markets/{BTC}")
    page.click('[data-timeframe="1h"]')
    pressed = 'button[aria-pressed="true"][data-timeframe]'
    reader.until("an hour", lambda: page.inner_text(pressed) == "1h", 10)
    page.keyboard.press("3")
    reader.until("five minutes", lambda: page.inner_text(pressed) == "5m" and "timeframe=5m" in page.url, 10)


def test_code_to_copy_asks_for_what_is_shown(platform: Platform, reader: Visitor) -> None:
    page = reader.open(f"/markets/{BTC}")
    reader.until("candles", lambda: page.locator("#legend b").count() > 4)
    page.click("#copy")
    url = page.inner_text("#code").split("'")[1]
    assert json.loads(platform.http.get(url).content)["market"] == BTC
    page.click('[data-language="ccxt"]')
    assert f'["public"] = "http://127.0.0.1:{platform.port}/binance/api/v3"' in page.inner_text("#code")
    # By its whole name, which means this market however many of its pair are followed.
    assert f'load_markets(params={{"symbol": "{BTC}"}})' in page.inner_text("#code")
    assert 'fetch_ohlcv(pair, "1m", since=' in page.inner_text("#code")
    page.keyboard.press("Escape")
    reader.until("it is closed", lambda: not page.locator("#copy-box").is_visible(), 10)


def test_what_is_shown_is_downloaded_in_every_form(reader: Visitor) -> None:
    page = reader.open(f"/markets/{BTC}")
    reader.until("candles", lambda: page.locator("#legend b").count() > 4)
    page.click("#export")
    links = page.locator("#export-box [data-format]")
    assert links.count() == 8
    for place in range(links.count()):
        with page.expect_download() as download:
            links.nth(place).click()
        assert Path(download.value.path()).stat().st_size > 100
        assert download.value.suggested_filename.endswith(f"-1m.{links.nth(place).get_attribute('data-suffix')}")


def test_a_cut_feed_shows_a_gap_in_the_ribbon_that_heals_before_ones_eyes(platform: Platform, keeper: Visitor) -> None:
    page = keeper.open(f"/markets/{BTC}")
    keeper.until("candles", lambda: page.locator("#legend b").count() > 4)
    ribbon, gap = page.locator("#ribbon"), page.evaluate(COLOUR, "gap")
    until("a live minute", lambda: platform.candles(BTC, limit=20)["coverage"][0]["state"] != "open", 30)
    platform.control("error", seconds=40 * SPEED, period="minute")  # else it were filled before it is drawn
    platform.control("drop", seconds=20 * SPEED, replay=0)
    keeper.until("a gap", lambda: gap in ribbon.evaluate(RIBBON), 90)
    keeper.until("the way to its story without a mouse", page.locator('#certificate a[href^="/gaps?market="]').count)
    platform.control("reset")
    keeper.until("no gap", lambda: gap not in ribbon.evaluate(RIBBON), 120)
    keeper.until("complete", lambda: page.inner_text("#complete") == "complete", 60)


def test_a_killed_consumer_is_seen_to_be_gone_and_to_come_back(platform: Platform, reader: Visitor) -> None:
    page = reader.open("/actors")
    card = page.locator("#kind-fixedtopicconsumer")
    reader.until("it is well", lambda: "fixed-tick-1" in card.inner_text() and not card.locator("tr.bad").count())
    with platform.frozen("fixed-consumer"):
        reader.until("it is silent", lambda: "Silent" in card.locator("tr.bad").all_inner_texts().__str__(), 60)
        assert page.locator(".alarm", has_text="fixed-tick-1").is_visible()
    reader.until("it is well again", lambda: not card.locator("tr.bad").count(), 60)
    platform.kill("fixed-consumer")
    reader.until("it has another process", lambda: not card.locator("tr.bad").count(), 60)


def test_an_actor_in_error_is_reset_by_a_click_and_what_stays_wrong_is_said(
    platform: Platform, keeper: Visitor
) -> None:
    platform.control("unauthorized", seconds=80_000)
    platform.control("drop", seconds=1, replay=0)
    page = keeper.open("/actors")
    # The history's Producer may be in Error too, and once reset has nothing to fail at until a fetch comes.
    alarm = page.locator(".alarm", has_text="producer-live-1 is in Error")
    keeper.until("an alarm", lambda: alarm.count() and alarm.is_visible(), 90)
    assert "It waits for a person" in alarm.inner_text()
    alarm.locator("button").click()
    outcomes = page.locator("main")
    keeper.until("it went back to Error", lambda: "back to Error" in outcomes.inner_text(), 60)

    platform.control("reset")

    def reset_all() -> bool:
        # In the page itself: an actor that has just reset itself takes its button away.
        page.evaluate("document.querySelector('.alarm button:enabled')?.click()")
        page.wait_for_timeout(500)
        return page.locator(".alarm").count() == 0

    keeper.until("nothing is in Error", reset_all, 90)
    # A click that came too late: the actor had reset itself.
    keeper.complaints[:] = [one for one in keeper.complaints if "409" not in one]


def test_the_admin_shows_a_market_with_its_chart(platform: Platform, keeper: Visitor) -> None:
    ((number,),) = platform.rows("select id from market where symbol = %s", BTC)
    page = keeper.open(f"/admin/datastore/market/{number}/change/")
    keeper.until("candles", page.locator("#market-chart canvas").count)
    assert not page.locator("#market-chart-notice").is_visible()


def test_a_stream_is_made_and_ended(platform: Platform, keeper: Visitor) -> None:
    page = keeper.open("/streams")
    page.fill("form[data-send] [name=market]", ETH)
    page.select_option("form[data-send] [name=timeframe]", "5m")
    page.click("form[data-send] button.primary")
    row = page.locator("tr[id^=stream-]", has_text=ETH).first
    keeper.until("it is live", lambda: row.count() and "live" in row.inner_text(), 60)
    page.on("dialog", lambda dialog: dialog.accept())
    row.locator("button").click()
    keeper.until("it has ended", lambda: "ended" in row.inner_text(), 30)


def test_a_dead_letter_is_read_and_replayed(platform: Platform, keeper: Visitor) -> None:
    words = '<img src=x onerror="document.title=1">'
    with platform.valkey() as valkey:
        valkey.xadd(KEY_PREFIX + TICK_DATA.name, {"k": BTC, "v": json.dumps({"v": 1, "type": words})})
    page = keeper.open("/dead-letters")
    rows = page.locator("tr[id^=letter-]", has_text="onerror")
    keeper.until("a letter", rows.count, 60)
    assert words in page.locator("main").inner_text() and page.locator("main img").count() == 0
    rows.first.locator("a").first.click()
    page.wait_for_url("**/dead-letters/*")
    keeper.until("its bytes", lambda: words in page.inner_text("main"), 10)
    keeper.open("/dead-letters")
    rows.first.locator("button").click()
    keeper.until("it is published again", lambda: "published again" in page.inner_text("#toasts"), 10)


def test_everything_is_reached_by_keyboard_alone(reader: Visitor) -> None:
    page = reader.open("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/actors")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    reader.until("the keys are closed", lambda: not page.locator("#keys").is_visible(), 10)
    before = page.evaluate(BACKGROUND)
    page.keyboard.press("t")
    reader.until("the other theme", lambda: page.evaluate(BACKGROUND) != before, 10)
    reader.open("/")
    page.keyboard.press("/")
    page.keyboard.type("ETH")
    page.keyboard.press("Tab")
    reader.until("one row", lambda: page.locator("#rows tr:visible").count() == 1, 10)


def test_a_database_that_is_away_is_said_in_words(platform: Platform, chrome: Browser) -> None:
    with visitor(chrome, f"http://127.0.0.1:{platform.port}") as found:
        with platform.frozen("postgres"):
            answer = found.page.goto(f"{found.base}/gaps")
            assert answer is not None and answer.status == 503
            assert "The database does not answer" in found.page.inner_text("h1")
        found.until("the page comes back by itself", lambda: "Gaps" in found.page.inner_text("h1"), 60)
