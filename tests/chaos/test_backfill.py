"""A backfill of a year through kills, and through a Valkey that forgets and stays away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.asker import LONG_MEMORY, PAGES, SECOND, Asker
from tests.e2e.platform import Platform
from tests.e2e.provider import repeated
from tests.waiting import until

pytestmark = pytest.mark.chaos
VICTIMS = ("worker", "coordinator", "candle-consumer", "web")


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep once for all tests of this module."""
    with Platform(home, LONG_MEMORY) as running:
        yield running


def test_kills_in_the_middle_of_a_backfill_cost_a_page_each_at_the_most_and_it_ends_whole(platform: Platform) -> None:
    asker = Asker(platform, SECOND)
    asker.ask()
    for number, victim in enumerate(VICTIMS):
        until("some pages", lambda n=number: asker.pages_done() >= (n + 1) * PAGES // 6, 120)
        dead = platform.kill(victim)
        until(f"{victim} again", lambda name=victim, pid=dead: platform.back(name, pid) and platform.ready(), 60)
    until("the year", asker.is_over, 180)
    made = asker.pages()
    assert PAGES <= len(made) <= PAGES + len(VICTIMS), repeated(made)
    assert all(times <= 1 for times in repeated(made).values())
    asker.expect_whole()
