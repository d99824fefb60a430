"""One `manage.py up` in a folder of its own, its output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from config.supervision.embedded_servers import free_port
from config.supervision.forking import guarded
from tests.support import forked_python
from tests.support.polling import until
from tests.support.servers import PRODUCT_SETTINGS

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 90
INHERITED = {
    name: value
    for name, value in os.environ.items()
    if name not in {*PRODUCT_SETTINGS, "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CANDLEKEEP_HOME"}
}


class Up:
    """One running `manage.py up`, its output in a file."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.port = free_port()
        self.env = {
            **INHERITED,
            "CANDLEKEEP_HOME": str(home),
            "PORT": str(self.port),
            "SSE_PORT": str(free_port()),
            **env,
        }
        self.output = home / "up.txt"
        with self.output.open("ab") as output:
            # A run of tests that is killed leaves none behind.
            command = guarded([sys.executable, str(ROOT / "manage.py"), "up"], signal.SIGINT)
            self.process = subprocess.Popen(command, env=self.env, stdout=output, stderr=subprocess.STDOUT)

    def text(self) -> str:
        return self.output.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        def look() -> object:
            assert self.process.poll() is None, self.text()
            return condition()

        until(self.text, look, PATIENCE)

    def until_ready(self) -> None:
        self.until(lambda: "Candlekeep is ready" in self.text())

    def get(self, path: str) -> httpx.Response:
        # There is no certificate to verify; to read those of all authorities costs more than the answer.
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=20, verify=False)  # noqa: S501

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return forked_python.run(str(ROOT / "manage.py"), *arguments, env=self.env, timeout=PATIENCE)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, mark: str) -> psutil.Process | None:
        for process in self.family():
            with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
                if mark in " ".join(process.cmdline()):
                    return process
        return None

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=30)[1]
