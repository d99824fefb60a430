"""When a measured program begins: everything is imported before it waits, and the clock starts at its first records."""

from __future__ import annotations

import sys
from importlib.metadata import version


def wait_for_start(*packages: str) -> None:
    """Print the versions of these packages, then wait until the benchmark says go."""
    print("ready", *(f"{package} {version(package)}" for package in packages), sep=", ", flush=True)
    sys.stdin.readline()


def note_began() -> None:
    """Say that the first records have arrived."""
    print("began", flush=True)
