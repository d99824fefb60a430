"""Apache Kafka itself, brought by Maven once and kept in the user's cache: it is no part of Candlekeep."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.maven import jars_of, missing_program

POM = Path(__file__).with_name("pom.xml")
MISSING = "needs {0}: install Java 17 or newer and Maven (Debian, Ubuntu: apt install openjdk-17-jre-headless maven)"


def java() -> str:
    """Return the Java to run; without one, or without Maven, skip, and fail where CI is set."""
    if missing := missing_program():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING.format(missing))
    return str(shutil.which("java"))


def jars() -> Path:
    """Return the folder of the broker's jars, filled at the first call on this machine."""
    return jars_of(POM, "kafka")
