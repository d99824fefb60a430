from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import CHROMIUM
from tests.support.browser import chromium as started_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module", autouse=True)
def chromium() -> None:
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("needs Chromium: apt install chromium")


@pytest.fixture(scope="module")
def chrome(chromium: None) -> Iterator[Browser]:
    """Start a browser once for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread; Django would not let the tests use its models beside one.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with started_chromium() as found:
            yield found
