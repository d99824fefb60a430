"""A trade leaves the provider -> it is visible through the API, at 1,000 trades a second over 20 markets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.trades import symbols
from config.embedded import free_port

MARKETS = symbols(20)
RATE = 50  # trades a second of each
WARM_UP, MEASURED = 15.0, 30.0  # seconds
PAUSE = 0.01  # seconds between two questions: what it adds to a figure is at most this and the answer's own time
START = 120.0


def run() -> list[str]:
    """Start the whole platform on its simulator, ask one market's newest trades over and over, compare the clocks."""
    home = Path(tempfile.mkdtemp(prefix="ck-bench-"))
    port = free_port()
    env = {
        **os.environ,
        "RATE_LIMIT_PER_ADDRESS": "0",  # it asks as often as it can
        "CANDLEKEEP_HOME": str(home),
        "PORT": str(port),
        "MARKETS": ",".join(MARKETS),
        "SIMULATOR_ARGS": f"--rate {RATE}",
    }
    up = subprocess.Popen(
        [sys.executable, "manage.py", "up"], env=env, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            _await_ready(client)
            time.sleep(WARM_UP)
            seen = _watch(client)
        delays = _delays(home, seen)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)
    p99 = statistics.quantiles(delays, n=100)[98]
    return [
        f"trade sent -> visible through the API: {len(MARKETS) * RATE:,} trades/s, {len(delays):,} of one market timed",
        f"  p50 {statistics.median(delays) * 1000:.0f} ms (target 150), p99 {p99 * 1000:.0f} ms",
    ]


def _await_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("the platform does not start")
        time.sleep(0.2)


def _watch(client: httpx.Client) -> dict[str, int]:
    """Return when (ns) each trade of the first market was first seen in an answer."""
    first: dict[str, int] = {}
    end = time.monotonic() + MEASURED
    known = True  # what the first answer holds was visible before it
    while time.monotonic() < end:
        answer = client.get("/api/v1/trades", params={"market": MARKETS[0], "limit": 150})
        now = time.time_ns()
        rows = answer.raise_for_status().json()
        column = rows["columns"].index("trade_id")
        for row in rows["trades"]:
            first.setdefault(row[column], 0 if known else now)
        known = False
        time.sleep(PAUSE)
    return {trade: at for trade, at in first.items() if at}


def _delays(home: Path, seen: dict[str, int]) -> list[float]:
    sent: dict[str, int] = {}
    for line in (home / "simulator" / "sent.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["event"] == "trade" and row["market"] == MARKETS[0] and not row.get("replayed"):
            sent[row["id"]] = row["at"]
    return [(at - sent[trade]) / 1e9 for trade, at in seen.items() if trade in sent]
