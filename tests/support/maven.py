"""Java programs that are no part of Candlekeep, brought by Maven once and kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

OLDEST_JAVA = 17


def cache_folder() -> Path:
    """Return the folder in which programs that were brought are kept for the next run; make it if it is missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "candlekeep"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def missing_program() -> str | None:
    """Return what is not installed: Java or Maven; None if both are."""
    found = shutil.which("java")
    if found is None or _java_version(found) < OLDEST_JAVA:
        return f"Java {OLDEST_JAVA}"
    return None if shutil.which("mvn") else "Maven"


def _java_version(program: str) -> int:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    number = re.search(r'version "(\d+)', told)
    return int(number[1]) if number else 0


def jars_of(pom: Path, name: str) -> Path:
    """Return the folder of the jars that a pom names, filled at the first call on this machine.

    Raises RuntimeError if Maven cannot bring them.
    """
    folder = cache_folder() / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of one run come at once
        if not folder.exists():
            draft = folder.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            done = subprocess.run(
                ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={draft}"],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"Maven could not bring {name}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
            draft.rename(folder)
    return folder
