"""A venue's frames -> stored candles that its ids prove, at 1,000 trades/s, beside a plain recorder of the same socket.

The simulator plays each venue in its own protocol; producer and consumer are the processes that `manage.py up` runs.
The recorder (plain_recorder.py) takes the same frames, parses them with msgspec and inserts rows: no proof, no candles,
no stream between. Both share the machine with the simulator, whose CPU is not counted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import websocket
from django.conf import settings
from django.db import connection
from django_redis import get_redis_connection

from benchmarks.ingest import TABLES
from benchmarks.platform import temporary_home
from datastore.reference.pairs import Listed
from ingestion.providers.table import PROVIDERS
from tests.support.polling import until
from tests.support.simulator import VenueAddress, read_log, running

QUOTES = {"coinbase": "USD", "binance": "USDT", "kraken": "USD", "okx": "USDT"}
MARKETS, RATE = 10, 100  # so many, and trades a second of each
WARM_UP_S, MEASURED_S, RECORDED_S = 5.0, 20.0, 2.0
POLL_INTERVAL_S = 0.01  # a lag is overstated by at most this
START_TIMEOUT_S = 60.0
PARSE_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Store:
    """Where one way keeps trades: how many are there, and the newest id of a market."""

    count: str
    newest: str


OURS = Store(
    "select coalesce(sum(last_id - first_id + 1), 0) from tick",
    "select t.last_id from tick t where t.market_id = (select id from market where symbol = %s)"
    " order by t.ts desc, t.seq desc limit 1",
)
PLAIN = Store(
    "select coalesce(sum(last_id - first_id + 1), 0) from plain_trade",
    "select max(last_id) from plain_trade where market = %s",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way did: trades sent and stored a second, the seconds between, CPU seconds a trade by process."""

    sent: float
    rate: float
    lags: list[float]
    cpu: Mapping[str, float]

    def line(self, name: str) -> str:
        """Return the figures."""
        p99 = statistics.quantiles(self.lags, n=100)[98] * 1000
        parts = ", ".join(f"{part} {seconds * 1e6:.0f}" for part, seconds in self.cpu.items())
        lag = f"lag p50 {statistics.median(self.lags) * 1000:.0f} ms, p99 {p99:.0f} ms"
        cpu = f"CPU {sum(self.cpu.values()) * 1e6:.0f} us a trade ({parts})"
        return f"  {name:<15}{self.rate:>7,.0f} of {self.sent:,.0f} trades/s, {lag}; {cpu}"


def run() -> Iterator[str]:
    """Measure each venue."""
    yield (
        f"frames -> candles in the database, about {MARKETS * RATE:,} trades/s on {MARKETS} markets (some minutes have "
        f"more, some fewer), for {MEASURED_S:g} s each"
    )
    for venue in QUOTES:
        yield from _measure(venue)


def _measure(venue: str) -> list[str]:
    channels = {
        PROVIDERS[venue].names.sub_of(
            Listed(venue, f"B{number:02}", QUOTES[venue])
        ): f"{venue}:B{number:02}-{QUOTES[venue]}"
        for number in range(MARKETS)
    }
    options = ("--markets", ",".join(channels.values()), "--venues", venue, "--rate", str(RATE))
    with temporary_home() as home, running(home, *options) as simulator:
        address = simulator.venue(venue)
        watched = next(iter(channels.values()))
        prepare_database(venue, list(channels.values()))
        env = {"PROVIDERS": venue, **address.settings}
        commands = {
            "producer": ["manage.py", "run_producer", "--provider", venue],
            "consumer": ["manage.py", "run_fixed_consumer", "--topic", "tick-data"],
        }
        ours = _watch(commands, env, OURS, watched, watched, home)
        recorder = ["-m", "benchmarks.plain_recorder", address.ws_url, settings.DATABASE_URL, venue, *channels]
        peer = _watch({"recorder": recorder}, {}, PLAIN, next(iter(channels)), watched, home)
        frames = _recorded(address, venue, list(channels))
    return [venue, ours.line("ours"), peer.line("plain recorder"), _parsing(venue, frames)]


def prepare_database(venue: str, symbols: Sequence[str]) -> None:
    """Delete everything, and follow these markets of a venue."""
    from actor_runtime.configured_broker import configured_broker
    from datastore.reference.markets import ensure_markets

    with connection.cursor() as cursor:
        cursor.execute(f"truncate {TABLES} restart identity cascade")
        cursor.execute("drop table if exists plain_trade")
        cursor.execute(
            "create table plain_trade (market text, first_id bigint, last_id bigint, ts text, price numeric, "
            "amount numeric, side text, primary key (market, last_id))"
        )
    settings.PROVIDERS = [venue]
    ensure_markets(symbols)
    admin = configured_broker().admin()
    admin.delete_topic("tick-data")
    admin.create_topic("tick-data")
    admin.close()


@contextmanager
def children(commands: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> Iterator[dict[str, psutil.Process]]:
    """Run Python with these arguments; yield the processes by name."""
    started = {
        name: subprocess.Popen([sys.executable, *argv], env={**os.environ, **env}) for name, argv in commands.items()
    }
    try:
        yield {name: psutil.Process(child.pid) for name, child in started.items()}
    finally:
        for child in started.values():
            child.terminate()
        for child in started.values():
            child.wait(timeout=60)


def _watch(
    commands: Mapping[str, Sequence[str]], env: Mapping[str, str], store: Store, name: str, market: str, home: Path
) -> Measured:
    """Run the processes, and measure what they store; name: what the watched market is called in the store."""
    with children(commands, env) as processes:
        until("trades are stored", lambda: _value(store.count) > RATE * MARKETS, START_TIMEOUT_S)
        time.sleep(WARM_UP_S)
        before, stored, began = _cpu(processes), _value(store.count), time.time_ns()
        seen: list[tuple[int, int]] = []  # when (ns) which id was the newest stored one
        while time.time_ns() - began < MEASURED_S * 1e9:
            newest = _value(store.newest, name)
            if not seen or newest > seen[-1][1]:
                seen.append((time.time_ns(), newest))
            time.sleep(POLL_INTERVAL_S)
        trades, ended = _value(store.count) - stored, time.time_ns()
        used = {part: (spent - before[part]) / trades for part, spent in _cpu(processes).items()}
    rows = [row for row in read_log(home) if row["event"] == "trade"]
    sent = sum(row["last"] - row["first"] + 1 for row in rows if began <= row["at"] < ended)
    seconds = (ended - began) / 1e9
    lags = _lags([row for row in rows if row["market"] == market], seen)
    return Measured(sent / seconds, trades / seconds, lags, used)


def _lags(rows: Sequence[dict[str, Any]], seen: Sequence[tuple[int, int]]) -> list[float]:
    """Return the seconds from sent to stored of a market's trades that became visible while we looked."""
    sent = sorted((row["last"], row["at"]) for row in rows)
    found, place = [], 0
    while sent[place][0] <= seen[0][1]:
        place += 1
    for at, newest in seen[1:]:
        while place < len(sent) and sent[place][0] <= newest:
            found.append((at - sent[place][1]) / 1e9)
            place += 1
    return found


def _cpu(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    """Return the CPU seconds that the processes, the database and, if any publishes, the stream have used."""
    found = {name: _used(process) for name, process in processes.items()}
    postmaster = psutil.Process(_value("select pg_backend_pid()")).parent()
    assert postmaster is not None
    times = postmaster.cpu_times()
    found["database"] = (
        sum(map(_used, [postmaster, *postmaster.children()])) + times.children_user + times.children_system
    )
    if "producer" in processes:
        found["stream"] = _used(psutil.Process(get_redis_connection("default").info()["process_id"]))
    return found


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _value(sql: str, *parameters: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.fetchone()[0] or 0)


def _recorded(address: VenueAddress, venue: str, channels: Sequence[str]) -> list[bytes]:
    """Return what the venue's socket sends of these channels within some seconds."""
    socket = websocket.create_connection(address.ws_url, timeout=10)
    for message in PROVIDERS[venue].stream().subscribe(channels):
        socket.send(message)
    frames, end = [], time.monotonic() + RECORDED_S
    while time.monotonic() < end:
        frames.append(socket.recv_data()[1])
    socket.close()
    return frames


def _parsing(venue: str, frames: Sequence[bytes]) -> str:
    """Return how long a frame takes to be read, by us and by parsers that only make dictionaries of it."""
    ways: dict[str, Callable[[bytes], Any]] = {
        "into checked events": PROVIDERS[venue].stream().read_frame,
        "msgspec": msgspec.json.decode,
        "json": json.loads,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(PARSE_ROUNDS):
        for name, read in ways.items():
            began = time.perf_counter()
            for frame in frames:
                read(frame)
            taken[name].append((time.perf_counter() - began) / len(frames) * 1e6)
    figures = ", ".join(f"{name} {statistics.median(each):.1f} us" for name, each in taken.items())
    return f"  reading a frame ({len(frames):,} of them): {figures}"
