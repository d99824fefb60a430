"""The Python in which clients of others are installed, as published; made once and kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PINS = ROOT / "requirements-clients.txt"
CLIENTS = Path(__file__).with_name("client_script.py")
INSTALL_TIMEOUT_S, RUN_TIMEOUT_S = 900, 150


def clients_python() -> Path:
    """Return the interpreter; where the clients cannot be installed, skip, and fail where CI is set."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "candlekeep"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache / f"clients-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of one run come at once
        if not (folder / "usable").exists():
            _install(folder)
    return folder / "bin" / "python"


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    try:
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            # ccxt has a module for each exchange: the one that is used is compiled when it is.
            [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--no-input", "-r", str(PINS)],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.CalledProcessError as exc:
        why = f"the clients of requirements-clients.txt cannot be installed: {exc.stderr[-500:]}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    (folder / "usable").touch()


def run_script(script: Path, *arguments: str) -> str:
    """Run a script with the clients; return what it printed. Raises AssertionError with its errors."""
    return _run(str(script), *arguments)


def run_code(code: str) -> str:
    """Run a text in the same way."""
    return _run("-c", code)


def _run(*arguments: str) -> str:
    command = [str(clients_python()), "-P", "-W", "ignore", *arguments]  # -P: beside the script lies a platform.py
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout
