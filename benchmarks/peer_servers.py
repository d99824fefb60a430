"""QuestDB on loopback, the programs of peer_programs/, and the CPU that a process has used with all that it started."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from django.conf import settings

from config.supervision.embedded_servers import free_port
from tests.support.polling import until

START_TIMEOUT_S, STOP_TIMEOUT_S = 120.0, 20.0
SETTINGS = """\
http.net.bind.to=127.0.0.1:{http}
http.min.enabled=false
pg.enabled=false
line.tcp.enabled=false
line.udp.enabled=false
telemetry.enabled=false
"""
NO_TABLES = ("drop materialized view if exists candles", "drop table if exists trades")
TABLES = (
    "create table trades (symbol symbol, side symbol, price double, amount double, id varchar, timestamp timestamp)"
    " timestamp(timestamp) partition by day wal",
    "create materialized view candles as (select timestamp, symbol, first(price) open, max(price) high, min(price) low,"
    " last(price) close, sum(amount) volume, count() trades from trades sample by 1m) partition by day",
)


@dataclass(frozen=True, slots=True)
class QuestDB:
    """A server that runs; every other setting is its own default."""

    port: int
    process: psutil.Process

    def execute(self, query: str) -> list[list[Any]]:
        """Return the rows of an SQL statement."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/exec", params={"query": query}, timeout=60)
        found: list[list[Any]] = answer.raise_for_status().json().get("dataset", [])
        return found

    def drop_tables(self) -> None:
        """Drop what make_tables() made."""
        for statement in NO_TABLES:
            self.execute(statement)

    def make_tables(self) -> None:
        """Create an empty table of trades, and the view that makes candles of it, as its documentation has them."""
        self.drop_tables()
        for statement in TABLES:
            self.execute(statement)

    def stored(self) -> int:
        """Return how many trades are in candles."""
        return int(self.execute("select sum(trades) from candles")[0][0] or 0)


@contextmanager
def questdb(jar: Path, home: Path) -> Iterator[QuestDB]:
    """Run QuestDB in this folder."""
    port = free_port()
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "server.conf").write_text(SETTINGS.format(http=port))
    command = ["java", "-p", str(jar), "-m", "io.questdb/io.questdb.ServerMain", "-d", str(home)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    child = subprocess.Popen(command, **silent)  # type: ignore[call-overload]
    try:
        server = QuestDB(port, psutil.Process(child.pid))

        def answers() -> bool:
            with suppress(httpx.HTTPError):
                return bool(server.execute("select build()"))
            return False

        until("QuestDB answers", answers, START_TIMEOUT_S)
        yield server
    finally:
        child.terminate()
        child.wait(timeout=60)


@contextmanager
def program(name: str, python: str, env: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run one of peer_programs/ by this Python; yield it with its versions once it has imported all and may begin."""
    command = [python, "-m", f"benchmarks.peer_programs.{name}"]
    child = subprocess.Popen(
        command,
        env={**os.environ, **env},
        text=True,
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdin and child.stdout
        first, _, versions = child.stdout.readline().strip().partition(", ")
        assert first == "ready", f"{name} did not start"
        child.stdin.write("go\n")
        child.stdin.flush()
        yield child, versions
    finally:
        child.terminate()
        try:
            child.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def cpu_of(root: psutil.Process) -> float:
    """Return the CPU seconds so far of a process and all that it started, the ended ones included."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def postgres_process() -> psutil.Process:
    """Return the private PostgreSQL of benchmarks/servers.py."""
    lock = Path(os.environ["CANDLEKEEP_HOME"]) / "postgres" / ".s.PGSQL.5432.lock"
    return psutil.Process(int(lock.read_text().split()[0]))


def own_child(name: str) -> psutil.Process:
    """Return the process of this name that this one started, such as Valkey or the broker."""
    return next(child for child in psutil.Process().children(recursive=True) if name in " ".join(child.cmdline()))
