"""The newest 500 candles through the API, hot and cold, while 20 trades a second reach the market.

For comparison, on the same server with the same middleware: a view of plain Django and one of Django REST framework
with keys and limits, both of which answer b''. The load comes from another process.
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
from statistics import median
from threading import Event, Thread

import httpx
import psycopg

from benchmarks.load import Load, LoadResult, generate_load
from benchmarks.platform import running, temporary_home
from config.supervision.embedded_servers import free_port
from tests.support.polling import until

MARKET = "coinbase:BTC-USD"
HOT = f"/api/v1/candles?market={MARKET}&timeframe=1m"
# The same bars as TradingView's library asks for them, up to a time to come; and as its clients poll, to another each.
UDF = f"/udf/history?symbol={MARKET}&resolution=1&from=0&countback=500&to=4000000000"
UDF_POLL = UDF.replace("4000000000", "4{n}")
COLD = f"{HOT}&to={{n}}"  # a different question each time, so no cached answer helps
SAMPLE_EVERY = 100  # one answer in so many is checked
MAX_AGE_S = 2.0  # how long a later trade may have replaced the newest close of an answer
WARM_UP_S = 60.0
POLL_INTERVAL_S = 0.02


class Closes:
    """The newest closes in the database and when they came, noted by a thread that polls."""

    def __init__(self, database_url: str) -> None:
        self.seen: deque[tuple[float, str]] = deque()  # (wall time since when, close)
        self._stop = Event()
        self._thread = Thread(target=self._poll, args=(database_url,), daemon=True)

    def __enter__(self) -> Closes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self, database_url: str) -> None:
        newest = "select close::text from candle where resolution = 60 and trades > 0 order by open_time desc limit 1"
        with psycopg.connect(database_url, autocommit=True) as database:
            while not self._stop.wait(POLL_INTERVAL_S):
                at = time.time()
                row = database.execute(newest).fetchone()
                if row and (not self.seen or self.seen[-1][1] != row[0]):
                    self.seen.append((at, row[0]))

    def was_newest(self, close: str, at: float) -> bool:
        """Return whether this close was the newest at any moment of the two seconds before `at`."""
        ends = [*(since for since, _ in list(self.seen)[1:]), float("inf")]
        spans = zip(list(self.seen), ends, strict=True)
        return any(
            close == one and since <= at + POLL_INTERVAL_S and end >= at - MAX_AGE_S for (since, one), end in spans
        )


def run() -> list[str]:
    """Start the platform and a second web process with the two empty views; return the results."""
    with temporary_home() as home, running(home, [MARKET], "--rate 20"), _web(home) as port:
        command = [sys.executable, "manage.py", "create_api_key", "benchmark"]
        env = {**os.environ, "CANDLEKEEP_HOME": str(home)}
        key = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        time.sleep(WARM_UP_S)  # until history is fetched: 500 candles are complete, and no fetch is measured
        addresses = json.loads((home / "run" / "servers.json").read_text())
        with Closes(addresses["database_url"]) as closes:
            return _measure(port, key, closes)


def _measure(port: int, key: str, closes: Closes) -> list[str]:
    def load(path: str, **more: int) -> LoadResult:
        first = more.pop("first", int(time.time() * 1000))
        return generate_load(Load(port, path, headers={"X-API-Key": key}, first=first, **more))

    for path in ("/empty", "/framework", HOT, UDF, COLD):
        load(path, connections=4)  # warm up
    empty, framework = load("/empty"), load("/framework")
    before = _answers(port)
    hot = load(HOT, sample=SAMPLE_EVERY)
    hits = _answers(port) - before
    # In turn: the machine has other work to do, at one time more than at another.
    paths = ("/empty", HOT, UDF)
    turns = [(*(load(path, seconds=2) for path in paths), load(UDF_POLL, seconds=2, first=10**8)) for _ in range(5)]
    empty_rate, json_rate, udf_rate, poll_rate = (median(one.rate for one in kind) for kind in zip(*turns, strict=True))
    again, cold, alone = load("/empty"), load(COLD), load(COLD, connections=1)
    plain = (empty.rate + again.rate) / 2
    right = sum(closes.was_newest(str(json.loads(body)["candles"][-1][4]), at) for at, body in hot.samples)
    return [
        f"newest 500 candles of 1m, {8} connections, while 20 trades/s reach the market",
        f"  empty view, plain Django   {empty}; again {again.rate:,.0f}",
        f"  empty view, DRF, key, limit {framework}",
        f"  hot                        {hot}",
        f"    cached answers: {hits['ready'] / hits.total():.2%}, the others were computed",
        f"    of the empty view {hot.rate / plain:.2f}, target 2,000 requests/s",
        f"    DRF with key and limit: {(1 / framework.rate - 1 / plain) * hot.rate:.0%} of an answer's time",
        f"    newest close at most {MAX_AGE_S:.0f} s old: {right} of {len(hot.samples)} answers checked",
        f"  in five turns of two seconds each, medians: empty view {empty_rate:,.0f} requests/s",
        f"    hot {json_rate:,.0f}: {json_rate / empty_rate:.2f} of it (target 0.90)",
        f"    UDF history, 500 bars {udf_rate:,.0f}: {udf_rate / json_rate:.2f} of hot (target 0.70)",
        f"    with another `to` each {poll_rate:,.0f}: {poll_rate / json_rate:.2f}",
        f"  cold                       {cold}",
        f"  cold, one reader           {alone} (target p50 10 ms)",
    ]


def _answers(port: int) -> Counter[str]:
    """Return how many answers the platform's processes have given so far, by source."""
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
    found = re.findall(r'^candlekeep_answers_total{source="(\w+)"} ([0-9.e+]+)$', page, re.MULTILINE)
    return Counter({source: int(float(count)) for source, count in found})


@contextmanager
def _web(home: Path) -> Iterator[int]:
    """Run a web process like the platform's, with the two empty views as well."""
    port = free_port()
    os.environ.update(CANDLEKEEP_HOME=str(home), PORT=str(port), DJANGO_SETTINGS_MODULE="config.settings")
    os.environ.update(RATE_LIMIT_PER_KEY="6000000", METRICS_DIR=str(home / "run" / "metrics"))
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.wsgi"])
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
