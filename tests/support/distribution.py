"""Pytest plugin: what one worker runs as a whole, and what is begun first."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

# Folders whose tests share one platform.
SHARED = ("tests/integration/e2e/following", "tests/integration/e2e/history")
# These take minutes, so they begin first: one that began last would run alone.
LONGEST = (
    "tests/integration/browser/test_pages.py",
    "tests/config/test_up.py",
    "tests/integration/e2e/history",
    "tests/integration/e2e/test_spine.py",
    "tests/integration/e2e/following",
    "tests/integration/e2e/test_venues.py",
)
PLACES = {unit: place for place, unit in enumerate(LONGEST)}


def unit_of(nodeid: str) -> str:
    """Return the file of a test, or the folder if its tests share a platform."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in SHARED else file


class UnitScheduling(LoadScopeScheduling):
    """Hand out unit by unit in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> UnitScheduling:
    """Replace what --dist asks for."""
    return UnitScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long ones begin first, and keep the tests of a unit together, which pytest-randomly has not done."""
    seen: dict[str, int] = {}
    for item in items:
        seen.setdefault(unit_of(item.nodeid), len(seen))

    def place(item: pytest.Item) -> tuple[bool, int, int]:
        unit = unit_of(item.nodeid)
        return "e2e" not in item.keywords, PLACES.get(unit, len(PLACES)), seen[unit]

    items.sort(key=place)
