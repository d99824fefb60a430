"""Apache Kafka itself, brought by Maven once and kept in the user's cache: it is no part of Candlekeep."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

POM = Path(__file__).with_name("pom.xml")
OLDEST = 17  # Java
MISSING = "needs {0}: install Java 17 or newer and Maven (Debian, Ubuntu: apt install openjdk-17-jre-headless maven)"


def java() -> str:
    """Return the Java to run; without one, or without Maven, skip, and fail where CI is set."""
    found = shutil.which("java")
    if found is None or _version(found) < OLDEST:
        _do_without(f"Java {OLDEST}")
    if shutil.which("mvn") is None:
        _do_without("Maven")
    return str(found)


def _version(program: str) -> int:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    number = re.search(r'version "(\d+)', told)
    return int(number[1]) if number else 0


def _do_without(program: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING.format(program))


def jars() -> Path:
    """Return the folder of the broker's jars, filled at the first call on this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "candlekeep"
    folder = cache / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of one run come at once
        if not folder.exists():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    draft = folder.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={draft}"],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"Maven could not bring Kafka:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
    draft.rename(folder)
