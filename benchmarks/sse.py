"""A thousand readers of one series, four changes a second: what the stream process costs, how late a change arrives.

It uses private PostgreSQL and Valkey, and makes changes through the platform's own write path. The readers are a
separate process (benchmarks/followers.py). FOLLOWERS and SECONDS in the environment set how many and how long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

from config.supervision.embedded_servers import free_port
from tests.support.polling import until

MARKET = "coinbase:BTC-USD"
FOLLOWERS = int(os.environ.get("FOLLOWERS", "1000"))
SECONDS = int(os.environ.get("SECONDS", "20"))
RATE = 4  # changes a second
HISTORY_MINUTES = 500  # in a snapshot
SETTLE_S = 3.0  # after the last reader got its snapshot


@dataclass(frozen=True, slots=True)
class Cost:
    """What the stream process used: cores, and MB (PSS) without and with readers."""

    cpu: float
    empty: float
    full: float


def run() -> list[str]:
    """Measure; Django must be set up on private servers."""
    from datetime import UTC, datetime, timedelta

    from datastore.reference.markets import ensure_markets
    from datastore.reference.provider_clock import save_clock

    save_clock("cryptocompare", timedelta(0), datetime.now(UTC) - timedelta(minutes=1))
    (market,) = ensure_markets([MARKET])
    writer = Writer(market)
    writer.fill()
    with _stream_process() as (port, process):
        empty = _megabytes(process)
        readers = _readers(port, ticket_path(market, HISTORY_MINUTES))
        until("all follow", lambda: _are_following(readers), 120)
        time.sleep(SETTLE_S)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        committed = writer.write(SECONDS * RATE)
        spent = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
        cost = Cost(spent, empty, _megabytes(process))
        assert readers.stdin
        readers.stdin.close()
        arrived = json.loads(readers.stdout.read() if readers.stdout else b"{}")
    return _report(cost, committed, arrived)


class Writer:
    """Writes trades as the consumer does: one transaction, then the cache is updated."""

    def __init__(self, market: Any) -> None:
        self.market, self.n = market, 0
        self.start = int(time.time()) * 1_000_000 - HISTORY_MINUTES * 60_000_000
        self._store("opened", self.start)

    def fill(self) -> None:
        """Write a trade for each minute of the snapshot, and prove everything up to now."""
        for minute in range(HISTORY_MINUTES):
            self._store("trade", self.start + minute * 60_000_000 + 1)
        self._store("watermark", int(time.time()) * 1_000_000 - 1_000_000, self.start)

    def write(self, count: int) -> dict[int, float]:
        """Write so many trades, RATE a second; return when each version was committed, in seconds since 1970."""
        committed: dict[int, float] = {}
        due = time.monotonic()
        for _ in range(count):
            change, at = self._store("trade", int(time.time() * 1_000_000))
            committed[change.version] = at
            due += 1 / RATE
            time.sleep(max(due - time.monotonic(), 0))
        time.sleep(1)  # the last one arrives
        return committed

    def _store(self, kind: str, *values: int) -> tuple[Any, float]:
        from django.db import transaction

        from datastore.ingest.live_write import store_live
        from datastore.ingest.market_cache import write_changed
        from tests.support.datastore import records

        self.n += 1
        with transaction.atomic():
            result = store_live([getattr(records, kind)(self.n, *values, market=MARKET)])
        at = time.time()
        write_changed(result.changes)
        return result.changes[0], at


@contextmanager
def _stream_process() -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    env = {**os.environ, "SSE_PORT": str(port)}
    child = subprocess.Popen([sys.executable, "manage.py", "run_sse"], env=env)
    try:
        until("the stream process listens", lambda: _listens(port), 30)
        yield port, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(timeout=30)


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False


def ticket_path(market: Any, limit: int) -> str:
    """Return the address of a stream of a market's minutes, which begins with so many of them."""
    from datastore.access.stream_tickets import STREAM_PATH, Ticket, sign_ticket

    ticket = Ticket(market.pk, market.symbol, "1m", limit, None, None, None, None, "", "", False)
    return f"{STREAM_PATH}?ticket={sign_ticket(ticket)}"


def _readers(port: int, path: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.followers", str(port), path, str(FOLLOWERS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _are_following(readers: subprocess.Popen[bytes]) -> bool:
    assert readers.stdout
    return readers.stdout.readline() == b"following\n"


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 1e6


def _report(cost: Cost, committed: dict[int, float], arrived: dict[str, list[float]]) -> list[str]:
    timed = {int(version): times for version, times in arrived.items() if int(version) in committed}
    delays = [at - committed[version] for version, times in timed.items() for at in times]
    sent = len(committed) * FOLLOWERS
    cuts = quantiles(delays, n=100)
    return [
        f"{FOLLOWERS:,} readers of one series, {RATE} changes a second for {SECONDS} s",
        f"  commit -> reader: p50 {median(delays) * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms (target 1,000)",
        f"  {len(delays):,} of {sent:,} changes arrived one by one, the others as part of a later one",
        f"  CPU {cost.cpu:.0%} of a core; memory {cost.empty:.0f} MB empty, {cost.full:.0f} MB with readers"
        f" ({(cost.full - cost.empty) * 1000 / FOLLOWERS:.0f} KB each)",
    ]
