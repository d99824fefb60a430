"""An installed Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# What a page must not do on a phone: be wider than the screen.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser."""
    from playwright.sync_api import sync_playwright  # takes a second, which only those who need it should wait

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@contextmanager
def window(browser: Browser, width: int = 1280) -> Iterator[Page]:
    """Open a page that knows nothing of any other."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    yield context.new_page()
    context.close()
