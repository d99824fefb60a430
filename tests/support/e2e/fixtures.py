"""Fixtures for tests of a running platform."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.e2e.platform import Platform
from tests.support.prepared_home import copy_home

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per request hides what a failing test has to say


@contextmanager
def new_home(prepared: Path) -> Iterator[Path]:
    """Make a prepared folder with a path short enough for a socket, and with no parent that only we may enter."""
    with tempfile.TemporaryDirectory(prefix="ck-run-", ignore_cleanup_errors=True) as folder:
        copy_home(prepared, Path(folder) / "home")
        yield Path(folder) / "home"


@pytest.fixture(scope="module")
def home(prepared_home: Path) -> Iterator[Path]:
    """Return a folder for the platform of a module."""
    with new_home(prepared_home) as made:
        yield made


@pytest.fixture(autouse=True)
def output_of_a_failed_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Show with a failing test what the platform of its module said during it."""
    platform = request.getfixturevalue("platform") if "platform" in request.fixturenames else None
    before = len(platform.lines) if isinstance(platform, Platform) else 0
    yield
    if isinstance(platform, Platform):
        print("\n".join(line for line in platform.lines[before:] if "Service Unavailable" not in line))
