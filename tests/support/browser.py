"""An installed Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# What a page must not do on a phone: be wider than the screen.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def browser(width: int = 1280) -> Iterator[Page]:
    """Open a page; Django's ORM is out of reach inside, because playwright runs an event loop."""
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chrome.new_page(viewport={"width": width, "height": 800})
        chrome.close()
