"""One `manage.py up` in a folder of its own or in one that tests share, its output in a file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
        self._heard = 0
        with self.output.open("wb") as output:
            # A run of tests that is killed leaves none behind.
            command = guarded([sys.executable, str(ROOT / "manage.py"), "up"], signal.SIGINT)
            self.process = subprocess.Popen(command, env=self.env, stdout=output, stderr=subprocess.STDOUT)

    def text(self) -> str:
        """Return what it said since its start, or since it was last handed to a test."""
        return self.output.read_text()[self._heard :]

    def forget(self) -> None:
        """Leave what it has said so far out of text()."""
        self._heard = len(self.output.read_text())

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


class SharedUp:
    """A folder in which tests run one `up`: it goes on, and is started again after a test that ended it."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home, self.env = home, env
        self._up: Up | None = None

    def running(self) -> Up:
        """Return it as it is ready, with nothing said yet."""
        if self._up is None or self._up.process.poll() is not None:
            self._up = Up(self.home, **self.env)
            self._up.until_ready()
            assert "admin user made" not in self._up.text(), "the data stays"
        self._up.forget()
        return self._up

    def end(self) -> None:
        """End it if it runs."""
        if self._up and self._up.process.poll() is None:
            self._up.end()


@contextmanager
def folder() -> Iterator[Path]:
    # Not pytest's: the database's socket needs a short path that its account may pass.
    made = Path(tempfile.mkdtemp(prefix="ck up "))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def gone(processes: list[psutil.Process]) -> bool:
    """Return whether all of them end within half a minute; print what is left."""
    left = psutil.wait_procs(processes, timeout=30)[1]
    for process in left:
        with suppress(psutil.Error):
            print("still there:", process.pid, process.status(), process.cmdline())
    return not left
