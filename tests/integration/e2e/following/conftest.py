from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.e2e.fixtures import new_home
from tests.support.e2e.followed import BTC, SPEED, STALE_S
from tests.support.e2e.platform import Platform
from tests.support.polling import until


@pytest.fixture(scope="package")
def platform(prepared_home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this folder; Ctrl-C at the end must leave no process."""
    settings = {"SIMULATOR_ARGS": f"--speed {SPEED}", "STALE_AFTER": str(STALE_S), "MARKETS": BTC}
    with new_home(prepared_home) as home, Platform(home, settings) as running:
        until("the list of pairs is read", lambda: running.rows("select symbol from pair"), 30)
        until("the feed is there", lambda: running.candles(BTC, limit=1)["watermark"], 60)
        yield running
