"""Pytest plugin: what one worker runs as a whole, and what is begun first."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Folders whose tests share one platform.
SHARED = ("tests/integration/e2e/following", "tests/integration/e2e/history")
# Whole platforms and browsers: these mostly wait.
WAITING = ("tests/integration/", "tests/config/test_up.py")
# The longest of either kind, which begin first: one that began last would run alone.
LONGEST = (
    "tests/integration/browser/test_pages.py",
    "tests/config/test_up.py",
    "tests/integration/e2e/history",
    "tests/integration/e2e/test_spine.py",
    "tests/integration/e2e/following",
    "tests/integration/e2e/test_venues.py",
    "tests/integration/browser/test_docs.py",
    "tests/integration/e2e/test_full_disk.py",
    "tests/integration/e2e/test_copies.py",
    "tests/api/test_fuzz.py",
    "tests/streaming/test_contract.py",
    "tests/simulator/venues/test_venue_faults.py",
    "tests/simulator/venues/test_venue_replay.py",
    "tests/simulator/venues/test_protocols.py",
    "tests/ingestion/test_topic_router_live.py",
    "tests/ingestion/test_live_lines.py",
)
PLACES = {unit: place for place, unit in enumerate(LONGEST)}


def unit_of(nodeid: str) -> str:
    """Return the file of a test, or the folder if its tests share a platform."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in SHARED else file


class UnitScheduling(LoadScopeScheduling):
    """Hand out unit by unit in their order, from two ends: half of the workers begin with those that mostly wait.

    A worker that waits for a platform leaves the processor to one that computes; when either kind is done, all take
    what is left.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        begins_with_waiting = self.nodes.index(node) % 2 == 0
        for unit in self.workqueue:
            if unit.startswith(WAITING) is begins_with_waiting:
                self.workqueue.move_to_end(unit, last=False)
                break
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        # A worker begins its last test when it has been given the next one. To give it more than that would leave units
        # lying behind a long test which an idle worker could take.
        if self.workqueue and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)


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
        return not unit.startswith(WAITING), PLACES.get(unit, len(PLACES)), seen[unit]

    items.sort(key=place)
