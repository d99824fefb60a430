from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.config.up import SharedUp, Up, folder
from tests.support.prepared_home import copy_home


@pytest.fixture
def home() -> Iterator[Path]:
    with folder() as made:
        yield made


@pytest.fixture
def prepared(home: Path, prepared_home: Path) -> None:
    """Let the folder be as a first start leaves it."""
    copy_home(prepared_home, home)


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(**env: str) -> Up:
        started.append(Up(home, **env))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.end()


@pytest.fixture(scope="module")
def shared(prepared_home: Path) -> Iterator[SharedUp]:
    """Return the platform that the tests of a module share."""
    with folder() as made:
        copy_home(prepared_home, made)
        found = SharedUp(made, MARKETS="coinbase:BTC-USD", SIMULATOR_ARGS="--seed 5")
        yield found
        found.end()
