from __future__ import annotations

import os

import pytest

from tests.support.browser import CHROMIUM


@pytest.fixture(scope="module", autouse=True)
def chromium() -> None:
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("needs Chromium: apt install chromium")
