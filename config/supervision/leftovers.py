"""Children that a killed `up` left running: noted by process number and start time, stopped by the next start."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from config.secret_files import replace_text
from config.supervision.embedded_servers import is_postgres_on

STOP_TIMEOUT_S = 10.0


def note(home: Path, pids: list[int]) -> None:
    """Save which processes run for this home."""
    running = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            running.append([pid, psutil.Process(pid).create_time()])
    replace_text(home / "run" / "children.json", json.dumps(running))


def forget(home: Path) -> None:
    """Delete the note, after a clean stop."""
    (home / "run" / "children.json").unlink(missing_ok=True)


def stop_leftovers(home: Path) -> list[str]:
    """Stop what an earlier `up` of this home left running; return the programs' names. Call under the lock."""
    found = [process for process in _noted(home) if process.is_running()]
    for process in list(found):
        with suppress(psutil.NoSuchProcess):
            if process.name() != "postgres":  # which stops its own children
                found += process.children(recursive=True)
    names = [process.name() for process in found]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    for process in psutil.wait_procs(found, timeout=STOP_TIMEOUT_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    forget(home)
    return names + _stop_postgres(home / "postgres" / "data")


def _noted(home: Path) -> list[psutil.Process]:
    try:
        noted = json.loads((home / "run" / "children.json").read_text())
    except (FileNotFoundError, ValueError):
        return []
    processes = []
    for pid, created in noted:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            # The number alone may belong to another program by now.
            if abs(process.create_time() - created) < 1:
                processes.append(process)
    return processes


def _stop_postgres(data: Path) -> list[str]:
    """Stop a PostgreSQL that serves this data folder but was not noted."""
    with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        pid = int((data / "postmaster.pid").read_text().split()[0])
        if is_postgres_on(pid, data):
            process = psutil.Process(pid)
            process.send_signal(signal.SIGINT)
            psutil.wait_procs([process], timeout=STOP_TIMEOUT_S)
            return ["postgres"]
    return []
