"""The whole of Candlekeep as its users start it: one `manage.py up` in a folder of its own, to be asked and hurt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import redis

from config.supervision.embedded_servers import free_port
from config.supervision.forking import guarded
from tests.support import forked_python
from tests.support.polling import until
from tests.support.servers import PRODUCT_SETTINGS

ROOT = Path(__file__).resolve().parents[3]
ME = os.getpid()
READY = 90.0  # seconds that a start may take
# Trades a second of a market, at the provider's pace, for tests that wait: a dense market at ten times the speed
# takes a quarter of a core from all tests beside it.
FEW_TRADES = 0.5
# How each supervised process is found: our own by a word of its command line or title, the servers by their binary.
ARGUMENTS = {
    "simulator": "candlekeep simulator",
    "web": "granian",
    "sse": "candlekeep sse",
    "producer": "candlekeep producer",
    "fixed-consumer": "candlekeep fixed-consumer",
    "candle-consumer": "candlekeep candle-consumer",
    "dynamic-consumer": "candlekeep dynamic-consumer",
    "coordinator": "candlekeep coordinator",
    "worker": "--quiet worker",
    "beat": "--quiet beat",
}
BINARIES = {"postgres": "postgres", "valkey": "valkey-server"}
LEFT_OUT = {*PRODUCT_SETTINGS, "CANDLEKEEP_HOME", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"}


class Platform:
    """One running `up`; use as a context manager, which ends with Ctrl-C and finds no process left."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        """Prepare to run in `home` with these settings beside the defaults."""
        self.home, self.port, sse_port = home, free_port(), free_port()
        inherited = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        self.env = {**inherited, "CANDLEKEEP_HOME": str(home), "PORT": str(self.port), "SSE_PORT": str(sse_port), **env}
        self.lines: list[str] = []
        self._up: subprocess.Popen[str]
        self._reader: threading.Thread

    def __enter__(self) -> Platform:
        self._start()
        return self

    def _start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._begun = len(self.lines)
        command = [sys.executable, str(ROOT / "manage.py"), "up"]
        self._up = subprocess.Popen(
            guarded(command, signal.SIGINT),  # a run of tests that is killed leaves none behind
            env=self.env,
            cwd=ROOT,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            until("Candlekeep is ready", self._said_ready, READY)
        except BaseException:
            self._destroy()
            raise
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self.provider = httpx.Client(base_url=self.addresses["SIMULATOR_URL"], timeout=10)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._close_clients()
            self._destroy()
        else:
            self._end()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """End it with Ctrl-C, which leaves no process, and start it again in the same folder after the block."""
        self._end()
        try:
            yield
        finally:
            self._start()

    def _end(self) -> None:
        self._close_clients()
        status, left = self.stop()
        assert (status, left) == (0, []), "\n".join(self.lines[-40:])

    def _close_clients(self) -> None:
        self.http.close()
        self.provider.close()

    def stop(self) -> tuple[int, list[str]]:
        """Press Ctrl-C; return the exit status and the command lines of whatever is left of us."""
        ours = self._processes()
        self._up.send_signal(signal.SIGINT)
        status = self._up.wait(timeout=90)
        self._close_output()
        return status, [_told(process) for process in {*ours, *self._strays()} if _lives(process)]

    def _destroy(self) -> None:
        """End everything at once: the test has failed already."""
        print("\n".join(self.lines[-200:]))
        for process in [*self._processes(), *self._strays()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._up.wait(timeout=30)
        self._close_output()

    def _close_output(self) -> None:
        self._reader.join(timeout=10)
        if self._up.stdout:
            self._up.stdout.close()

    def _read(self) -> None:
        assert self._up.stdout
        self.lines.extend(line.rstrip("\n") for line in self._up.stdout)

    def _said_ready(self) -> bool:
        assert self._up.poll() is None, "up ended:\n" + "\n".join(self.lines[-40:])
        return any(line.startswith("Candlekeep is ready") for line in self.lines[self._begun :])

    # --- ask ---

    @property
    def addresses(self) -> dict[str, str]:
        """Return what `up` leaves for commands in a second shell."""
        return dict(json.loads((self.home / "run" / "servers.json").read_text()))

    def api(self, path: str, **parameters: object) -> httpx.Response:
        """GET below /api/v1/."""
        return self.http.get(f"/api/v1/{path}", params={name: str(value) for name, value in parameters.items()})

    def candles(self, market: str, timeframe: str = "1m", /, **parameters: object) -> dict[str, Any]:
        """GET candles; fails where the answer is not 200."""
        answer = self.api("candles", market=market, timeframe=timeframe, **parameters)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def control(self, fault: str, **body: object) -> dict[str, Any]:
        """Ask the simulator for a fault."""
        answer = self.provider.post(f"/control/{fault}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def provider_now(self) -> float:
        """Return the simulator's time in seconds."""
        return float(self.provider.get("/control/clock").json()["now_ns"]) / 1e9

    def provider_candles(self, market: str, last: int, count: int) -> dict[int, dict[str, Any]]:
        """Return the simulator's own minute candles by their start in seconds, the last of which begins at `last`."""
        exchange, _, pair = market.partition(":")
        base, _, quote = pair.partition("-")
        asked: dict[str, str | int] = {"fsym": base, "tsym": quote, "e": exchange, "toTs": last, "limit": count}
        answer = self.provider.get("/data/v2/histominute", params=asked).json()
        assert answer["Response"] == "Success", answer
        return {row["time"]: row for row in answer["Data"]["Data"]}

    def sent(self) -> list[str]:
        """Return the lines of the simulator's log of what it sent to which socket."""
        text = (self.home / "simulator" / "sent.jsonl").read_text()
        return text[: text.rfind("\n") + 1].splitlines()

    def rows(self, sql: str, *parameters: object) -> list[Any]:
        """Ask the database on a connection of its own."""
        with psycopg.connect(self.addresses["database_url"], connect_timeout=5) as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def valkey(self) -> Iterator[redis.Redis]:
        """Talk to the embedded Valkey."""
        client = redis.Redis.from_url(self.addresses["redis_url"], socket_timeout=5)
        try:
            yield client
        finally:
            client.close()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a second shell, so to speak."""
        return forked_python.run(str(ROOT / "manage.py"), *arguments, env=self.env)

    # --- hurt ---

    def pid(self, name: str) -> int | None:
        """Return the process number of a supervised process, None while it is down."""
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._up.pid).children():
                with suppress(psutil.NoSuchProcess):
                    if _lives(child) and _is(child, name):
                        return child.pid
        return None

    def kill(self, name: str) -> int:
        """Kill a process with SIGKILL; returns its number."""
        pid = until(f"{name} runs", lambda: self.pid(name), 60)
        os.kill(pid, signal.SIGKILL)
        return pid

    def back(self, name: str, before: int) -> bool:
        """Return whether a process runs again since the one of that number."""
        return self.pid(name) not in (None, before)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process and all its children with SIGSTOP, and let them go on afterwards."""
        pid = until(f"{name} runs", lambda: self.pid(name), 60)
        top = psutil.Process(pid)
        family = [top, *top.children(recursive=True)]
        for process in family:
            _signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in family:
                _signal(process, signal.SIGCONT)

    def keep_down(self, name: str, seconds: float) -> int:
        """Kill a process and whatever is started in its place for so long; returns how many it were."""
        deadline, kills = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            if pid := self.pid(name):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
            time.sleep(0.05)
        return kills

    def children(self) -> int:
        """Count the supervised processes that run."""
        return sum(map(_lives, psutil.Process(self._up.pid).children()))

    def runs(self) -> bool:
        """Return True; fail with its last lines if `up` has ended."""
        assert self._up.poll() is None, "up ended:\n" + "\n".join(self.lines[-40:])
        return True

    def ready(self) -> bool:
        """Ask /health/ready."""
        with suppress(httpx.HTTPError):
            return self.http.get("/health/ready").status_code == 200
        return False

    # --- processes ---

    def _processes(self) -> set[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            up = psutil.Process(self._up.pid)
            return {up, *up.children(recursive=True)}
        return set()

    def _strays(self) -> list[psutil.Process]:
        """Find processes that name our folder, whatever their parent is by now."""
        return [process for process in psutil.process_iter() if str(self.home) in _told(process) and process.pid != ME]


def _is(process: psutil.Process, name: str) -> bool:
    if name in BINARIES:
        return Path(process.exe()).name == BINARIES[name]
    # One of several, such as producer-kraken, is named as a whole.
    return ARGUMENTS.get(name, f"candlekeep {name}") in " ".join(process.cmdline())


def _told(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        environment = process.environ().get("CANDLEKEEP_HOME", "")
        return f"{process.pid} {' '.join(process.cmdline())} {environment}"
    return ""


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
