"""`manage.py up` from end to end: a folder of its own, real servers, real children."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from config.supervision.embedded_servers import free_port
from config.supervision.servers import eviction_policy
from tests.support.servers import OURS
from tests.support.valkey import private_valkey

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90
INHERITED = {
    name: value
    for name, value in os.environ.items()
    if name not in {*OURS, "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CANDLEKEEP_HOME"}
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
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "up"], env=self.env, stdout=output, stderr=subprocess.STDOUT
            )

    def text(self) -> str:
        return self.output.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def until_ready(self) -> None:
        self.until(lambda: "Candlekeep is ready" in self.text())

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=20)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False)

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


@pytest.fixture
def home() -> Iterator[Path]:
    # Not pytest's folder: the database's socket needs a short path that its account may pass.
    made = Path(tempfile.mkdtemp(prefix="ck up "))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(**env: str) -> Up:
        started.append(Up(home, **env))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.end()


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_one_command_starts_everything_and_ctrl_c_leaves_no_process(start: Callable[..., Up], home: Path) -> None:
    up = start()
    up.until_ready()
    assert "SIMULATED DATA" in up.text()
    assert up.text().count("admin user made") == 1

    health: dict[str, Any] = up.get("/health/ready").json()
    assert health["status"] == "ready" and health["simulated"] is True
    assert health["provider"].startswith("simulator/")

    assert (home / "run" / "servers.json").stat().st_mode & 0o777 == 0o600
    status = up.manage("status")
    assert status.returncode == 0, status.stderr
    assert "producer-live-1" in status.stdout and "fixed-tick-1" in status.stdout

    # Counted by the consumer, told by the web process.
    up.until(lambda: "candlekeep_trades_stored_total{" in up.get("/metrics").text)
    counting = sorted((home / "run" / "metrics").glob("counter_*"))
    assert len(counting) >= 6, "one for each process that goes on"
    assert up.manage("status").returncode == 0
    assert sorted((home / "run" / "metrics").glob("counter_*")) == counting, "a command that runs once leaves no file"

    second = up.manage("up")
    assert second.returncode == 1 and f"already runs in {home} (process {up.process.pid})" in second.stderr

    family = up.family()
    assert len({name for process in family if (name := process.name())}) > 2
    assert up.end() == 0
    assert gone(family)
    assert not (home / "run" / "servers.json").exists() and not (home / "run" / "children.json").exists()
    assert up.manage("status").returncode == 1

    again = start()
    again.until(lambda: again.text().count("Candlekeep is ready") == 2)
    assert again.text().count("admin user made") == 1, "the data stays"
    assert again.end(signal.SIGTERM) == 0


def test_servers_and_actors_that_are_killed_come_back(start: Callable[..., Up]) -> None:
    up = start()
    up.until_ready()
    ours = (
        "granian",
        "run_fixed_consumer",
        "run_dynamic_consumer",
        "run_coordinator",
        "config.celery --quiet worker",
        "config.celery --quiet beat",
    )
    # The servers last: a process that notices a dead database first may end by itself instead.
    for mark in (*reversed(ours), "valkey-server", "pginstall18/bin/postgres"):
        child = up.child(mark)
        assert child, mark
        child.kill()
    up.until(lambda: up.text().count("was killed by SIGKILL; starting it again in 1 s") == 8)
    up.until(lambda: _ready(up))
    up.until(lambda: all(up.child(mark) for mark in ours))
    family = up.family()
    assert up.end() == 0
    assert gone(family)


def _ready(up: Up) -> bool:
    try:
        return up.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its starter died")
def test_a_killed_start_takes_its_children_along_and_the_next_one_goes_on(start: Callable[..., Up]) -> None:
    up = start()
    up.until_ready()
    family = up.family()
    up.process.kill()
    up.process.wait()
    assert gone(family)
    again = start()
    again.until(lambda: again.text().count("Candlekeep is ready") == 2)
    assert again.end() == 0


def test_data_of_one_provider_is_not_continued_with_another(start: Callable[..., Up]) -> None:
    up = start(SIMULATOR_ARGS="--seed 5")
    up.until_ready()
    assert up.end() == 0
    other = start(SIMULATOR_ARGS="--seed 6")
    assert other.process.wait(PATIENCE) == 1
    assert "holds data of 'simulator/seed=5'" in other.text() and "Set CANDLEKEEP_HOME" in other.text()
    assert "Traceback" not in other.text()


def test_a_taken_port_is_named_before_anything_starts(home: Path, start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = start(PORT=str(taken.getsockname()[1]))
        assert up.process.wait(PATIENCE) == 1
    assert "is taken by another program. Set PORT to another one." in up.text()
    assert not (home / "postgres").exists()


def test_a_simulator_that_cannot_start_ends_the_start_with_its_last_words(start: Callable[..., Up]) -> None:
    up = start(SIMULATOR_ARGS="--speed 99")
    assert up.process.wait(PATIENCE) == 1
    assert "simulator exited with 2, 5 times in a row. Its last lines:" in up.text()
    assert "--speed" in up.text().rpartition("Its last lines:")[2]


def test_a_stream_that_does_not_answer_is_named_while_it_is_waited_for(start: Callable[..., Up]) -> None:
    up = start(STREAM_URL="kafka://127.0.0.1:1")
    up.until(lambda: "waiting for STREAM_URL: kafka://127.0.0.1:1 does not answer" in up.text())
    family = up.family()
    assert up.end() == 0
    assert gone(family)


def test_a_server_that_throws_records_away_when_it_is_full_is_refused_with_the_fix(start: Callable[..., Up]) -> None:
    with private_valkey() as valkey:
        valkey.configure(maxmemory="100mb", maxmemory_policy="allkeys-lru")
        up = start(REDIS_URL=valkey.url)
        assert up.process.wait(PATIENCE) == 1
    assert "The server of REDIS_URL has maxmemory-policy allkeys-lru. Set it to noeviction" in up.text()
    assert "Traceback" not in up.text() and valkey.url not in up.text()


def test_only_a_policy_that_will_be_used_is_an_eviction() -> None:
    with private_valkey() as valkey:
        valkey.configure(maxmemory="100mb", maxmemory_policy="volatile-lru")
        assert eviction_policy(valkey.url) == "volatile-lru"
        valkey.configure(maxmemory=0)
        assert eviction_policy(valkey.url) is None
        valkey.configure(maxmemory="100mb", maxmemory_policy="noeviction")
        assert eviction_policy(valkey.url) is None
