"""The newest 500 candles through the API, hot and cold, while 20 trades a second reach the market.

Beside it, on the same server with the same middleware: a view of plain Django and one of Django REST framework with
keys and limits, both of which answer b''. The load comes from a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import psycopg

from benchmarks.load import Figures, Load
from benchmarks.load import run as generate
from benchmarks.platform import folder, running
from config.supervision.embedded_servers import free_port
from tests.support.polling import until

MARKET = "coinbase:BTC-USD"
HOT = f"/api/v1/candles?market={MARKET}&timeframe=1m"
COLD = f"{HOT}&to={{n}}"  # a question of its own each time: nothing is ready for it
EVERY = 100  # one answer in so many is looked at
YOUNG = 2.0  # seconds: how long the newest close of an answer may have been overtaken by a later trade
WARM_UP = 60.0
LOOK = 0.02


class Closes:
    """What the newest close in the database was, and when, noted by a thread that looks all the time."""

    def __init__(self, database_url: str) -> None:
        self.seen: deque[tuple[float, str]] = deque()  # (wall time from which on, close)
        self._stop = Event()
        self._thread = Thread(target=self._note, args=(database_url,), daemon=True)

    def __enter__(self) -> Closes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _note(self, database_url: str) -> None:
        newest = "select close::text from candle where resolution = 60 and trades > 0 order by open_time desc limit 1"
        with psycopg.connect(database_url, autocommit=True) as database:
            while not self._stop.wait(LOOK):
                at = time.time()
                row = database.execute(newest).fetchone()
                if row and (not self.seen or self.seen[-1][1] != row[0]):
                    self.seen.append((at, row[0]))

    def was_newest(self, close: str, at: float) -> bool:
        """Tell whether this close was the newest at some moment of the last two seconds before `at`."""
        ends = [*(since for since, _ in list(self.seen)[1:]), float("inf")]
        spans = zip(list(self.seen), ends, strict=True)
        return any(close == one and since <= at + LOOK and end >= at - YOUNG for (since, one), end in spans)


def run() -> list[str]:
    """Start the platform and a second web process with the two empty views; return the figures."""
    with folder() as home, running(home, [MARKET], "--rate 20"), _web(home) as port:
        key = _key(home)
        time.sleep(WARM_UP)  # history is fetched: 500 candles are whole, and no fetch takes part in the figures
        addresses = json.loads((home / "run" / "servers.json").read_text())
        with Closes(addresses["database_url"]) as closes:
            return _figures(port, key, closes)


def _figures(port: int, key: str, closes: Closes) -> list[str]:
    def load(path: str, **more: int) -> Figures:
        return generate(Load(port, path, headers={"X-API-Key": key}, first=int(time.time() * 1000), **more))

    for path in ("/empty", "/framework", HOT, COLD):
        load(path, connections=4)  # warm
    empty, framework = load("/empty"), load("/framework")
    before = _answers(port)
    hot = load(HOT, sample=EVERY)
    hits = _answers(port) - before
    again, cold, alone = load("/empty"), load(COLD), load(COLD, connections=1)
    plain = (empty.rate + again.rate) / 2
    right = sum(closes.was_newest(_close(body), at) for at, body in hot.samples)
    return [
        f"newest 500 candles of 1m, {8} connections, while 20 trades/s reach the market",
        f"  empty view, plain Django   {empty}; again {again.rate:,.0f}",
        f"  empty view, DRF, key, limit {framework}",
        f"  hot                        {hot}",
        f"    ready answers: {hits['ready'] / hits.total():.2%}, the others made them",
        f"    of the empty view {hot.rate / plain:.2f} (target 0.50), target 2,000 requests/s",
        f"    DRF with key and limit: {(1 / framework.rate - 1 / plain) * hot.rate:.0%} of an answer's time",
        f"    newest close at most {YOUNG:.0f} s old: {right} of {len(hot.samples)} answers looked at",
        f"  cold                       {cold}",
        f"  cold, one reader           {alone} (target p50 10 ms)",
    ]


def _answers(port: int) -> Counter[str]:
    """Return how many answers the platform's processes gave so far, by their source."""
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
    found = re.findall(r'^candlekeep_answers_total{source="(\w+)"} ([0-9.e+]+)$', page, re.MULTILINE)
    return Counter({source: int(float(count)) for source, count in found})


def _close(body: str) -> str:
    return str(json.loads(body)["candles"][-1][4])


def _key(home: Path) -> str:
    command = [sys.executable, "manage.py", "create_api_key", "benchmark"]
    env = {**os.environ, "CANDLEKEEP_HOME": str(home)}
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@contextmanager
def _web(home: Path) -> Iterator[int]:
    """Run a web process like the platform's, which has the two empty views beside its own."""
    port = free_port()
    os.environ.update(CANDLEKEEP_HOME=str(home), PORT=str(port), DJANGO_SETTINGS_MODULE="config.settings")
    os.environ.update(RATE_LIMIT_PER_KEY="6000000", METRICS_DIR=str(home / "run" / "metrics"))
    from config.supervision.processes import web_program

    program = web_program(os.environ)
    child = subprocess.Popen([*program.argv[:-1], "benchmarks.wsgi:application"], env=dict(program.env))
    try:
        until("the web process answers", lambda: _listens(port), 30)
        yield port
    finally:
        child.terminate()
        child.wait(timeout=30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
