from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.config.up import Up
from tests.support.prepared_home import copy_home


@pytest.fixture
def home() -> Iterator[Path]:
    # Not pytest's folder: the database's socket needs a short path that its account may pass.
    made = Path(tempfile.mkdtemp(prefix="ck up "))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


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
