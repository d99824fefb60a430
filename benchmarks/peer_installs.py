"""What is measured beside Candlekeep, installed apart from it: a virtual environment each, and QuestDB from Maven.

Both are kept in the user's cache, by what they were made of, so that a second run brings nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.maven import cache_folder, jars_of, missing_program

PROGRAMS = Path(__file__).with_name("peer_programs")
INSTALL_TIMEOUT_S = 900


class NotHere(Exception):
    """Something cannot be installed on this machine, and why."""


def python_with(name: str) -> str:
    """Return the Python of an environment with what requirements-<name>.txt names. Raises NotHere."""
    wanted = PROGRAMS / f"requirements-{name}.txt"
    made_of = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_folder() / f"peer-{name}-{made_of}"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
        _run([*pip, "--requirement", str(wanted)])
        done.touch()
    return str(folder / "bin" / "python")


def questdb_jar() -> Path:
    """Return QuestDB's jar. Raises NotHere."""
    if missing := missing_program():
        raise NotHere(f"{missing} is not installed")
    try:
        return next(jars_of(PROGRAMS / "questdb-pom.xml", "questdb").glob("questdb-*.jar"))
    except (RuntimeError, subprocess.SubprocessError) as exc:
        raise NotHere(_last_line(str(exc))) from exc


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=True)
    except subprocess.CalledProcessError as exc:
        raise NotHere(_last_line(exc.stderr or exc.stdout)) from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotHere(_last_line(str(exc))) from exc


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")[:200]
