"""Take pictures of every page of a platform of its own: light and dark, at a desk and on a phone.

`python -m tools.screenshots FOLDER` starts Candlekeep on simulated prices in a folder that is deleted afterwards, waits
until there is something to see, and writes FOLDER/<page>-<light|dark>-<width>.png. It fails where a page complains.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser

from tests.support.browser import chromium
from tests.support.e2e.platform import Platform
from tests.support.pages import make_administrator, visitor
from tests.support.polling import until

MARKETS = "coinbase:BTC-USD,coinbase:ETH-USD,binance:BTC-USDT,kraken:BTC-USD"
PAGES = {
    "markets": "/",
    "chart": "/markets/coinbase:BTC-USD",
    "actors": "/actors",
    "actor": "/actors/producer/producer-live-1",
    "log": "/actors/log",
    "streams": "/streams",
    "gaps": "/gaps",
    "requests": "/requests",
    "dead-letters": "/dead-letters",
    "system": "/system",
    "alerts": "/alerts",
    "sign-in": "/sign-in",
    "admin": "/admin/",
}
WIDTHS = (1280, 390)  # pixels
LIVE_MINUTES = 3  # of the provider's, before the first picture
SPEED = 6
SETTLED_MS = 2500


def take_all(platform: Platform, browser: Browser, folder: Path) -> list[str]:
    """Write a picture of each page; return what the pages complained about."""
    complaints: list[str] = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        for width in WIDTHS:
            with visitor(browser, f"http://127.0.0.1:{platform.port}", width, scheme) as person:
                person.sign_in()
                for name, path in PAGES.items():
                    page = person.open(path)
                    page.wait_for_timeout(SETTLED_MS)
                    page.screenshot(path=folder / f"{name}-{scheme}-{width}.png")
                    print(f"{name}, {scheme}, {width} px", flush=True)
                complaints += person.complaints
    return complaints


def has_live_minutes(platform: Platform) -> bool:
    """Return whether some minutes are proven by the feed."""
    coverage = platform.candles("coinbase:BTC-USD", limit=30)["coverage"]
    live_ms = sum(part["to"] - part["from"] for part in coverage if part["state"] == "live")
    return bool(live_ms >= LIVE_MINUTES * 60_000)


def main() -> int:
    """Start the platform, take the pictures, and say what went wrong."""
    if len(sys.argv) != 2:
        print("usage: python -m tools.screenshots FOLDER")
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"MARKETS": MARKETS, "SIMULATOR_ARGS": f"--speed {SPEED}"}
    with tempfile.TemporaryDirectory(prefix="ck-shots-", ignore_cleanup_errors=True) as home:
        print("Starting Candlekeep …", flush=True)
        with Platform(Path(home) / "home", settings) as platform, chromium() as browser:
            make_administrator(platform)
            print(f"Waiting for {LIVE_MINUTES} live minutes …", flush=True)
            until("live minutes", lambda: has_live_minutes(platform), 180)
            complaints = take_all(platform, browser, folder)
    print("\n".join(complaints) or f"No page complained. The pictures are in {folder}.")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
