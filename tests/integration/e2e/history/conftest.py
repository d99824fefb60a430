from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.e2e.first_charts import BTC, LIED_ABOUT, SPEED, WITHOUT_NUMBERS, FirstPages, ask_for_first_charts
from tests.support.e2e.fixtures import new_home
from tests.support.e2e.http_client import LISTED, RETENTION_DAYS, WILLING
from tests.support.e2e.platform import FEW_TRADES, Platform


@pytest.fixture(scope="package")
def platform(prepared_home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this folder; Ctrl-C at the end must leave no process."""
    # Not followed, so the simulator need not have their days before they are asked for.
    listed = ",".join(LISTED)
    settings = {
        "MARKETS": f"{BTC},{WITHOUT_NUMBERS},{LIED_ABOUT}",
        "STALE_AFTER": str(90 * SPEED),
        "SIMULATOR_ARGS": f"--speed {SPEED} --rate {FEW_TRADES} --retention-days {RETENTION_DAYS} --listed {listed}",
        **WILLING,
    }
    with new_home(prepared_home) as home, Platform(home, settings) as running:
        yield running


@pytest.fixture(scope="package", autouse=True)
def first_pages(platform: Platform) -> FirstPages:
    """Return what was asked for until the first charts were whole, before any test asks for more or does harm."""
    return ask_for_first_charts(platform)
