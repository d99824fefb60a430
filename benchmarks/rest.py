"""The platform at rest: memory by process, statements, cores, and how long it takes to start.

Its simulator trades once in 17 minutes and market. One process that has only loaded Django is printed beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import psycopg
import redis

from benchmarks.platform import running, temporary_home
from benchmarks.trades import symbols
from tests.support.polling import until

COUNTS = "3,300"
# What came before the feed is proven by the provider's minutes, which are final after two or three.
SETTLE_S, MEASURED_S = 200.0, 60.0
HISTORY_TIMEOUT_S, CHART_TIMEOUT_S = 900.0, 60.0
# Of a day's minutes, as the chart of a market's page asks for them.
CHART = {"timeframe": "1m", "limit": "500"}
PLAIN_DJANGO = "import django, sys; django.setup(); print(flush=True); sys.stdin.read()"
PARTS = {"postgres": "postgres", "valkey": "valkey", "granian": "web", "celeryd": "worker", "celery beat": "beat"}
ACTIVE_FETCHES = "select count(*) from fetch_request where state not in ('done', 'failed')"


@dataclass(frozen=True, slots=True)
class Usage:
    """What was counted until now: commits and rollbacks, commands of Valkey, and CPU seconds by program."""

    at: float
    transactions: int
    commands: int
    cpu: dict[str, float]


def run() -> Iterator[str]:
    """Start, look and stop, with few and with many markets; yield the lines to print.

    Other numbers of markets are in the environment variable MARKETS_AT_REST: `3,30`.
    """
    yield f"at rest; one process with nothing but Django has {plain_django():.0f} MB of memory"
    for count in os.environ.get("MARKETS_AT_REST", COUNTS).split(","):
        yield from at_rest(symbols(int(count)))


def quiet() -> str:
    """Return the options of a simulator that hardly trades, and that has two days of history to load."""
    since = datetime.now(UTC).date() - timedelta(days=2)
    return f"--rate 0.001 --no-limits --since {since}"


def at_rest(markets: Sequence[str]) -> list[str]:
    """Return the lines for so many followed markets."""
    simulator = quiet()
    with temporary_home() as home:
        began = time.monotonic()
        with running(home, markets, simulator) as client:
            ready = time.monotonic() - began
            until("the first chart is complete", lambda: is_complete(client, markets[0]), CHART_TIMEOUT_S)
            chart = time.monotonic() - began - ready
            with psycopg.connect(addresses_of(home)["database_url"], autocommit=True) as database:
                until("all history is there", lambda: not count(database, ACTIVE_FETCHES), HISTORY_TIMEOUT_S)
            time.sleep(SETTLE_S)
            before = usage(home)
            time.sleep(MEASURED_S)
            after = usage(home)
            memory = memory_by_program(home)
        began = time.monotonic()
        with running(home, markets, simulator):
            again = time.monotonic() - began

    seconds = after.at - before.at
    cpu = {name: (used - before.cpu.get(name, 0.0)) / seconds for name, used in after.cpu.items()}
    return [
        f"{len(markets)} markets: ready after {ready:.1f} s, the second time {again:.1f} s; "
        f"the first chart is complete {chart:.1f} s later",
        f"  memory (PSS) {sum(memory.values()):.0f} MB: {largest(memory, '{:.0f}')}",
        f"  CPU {sum(cpu.values()):.1%} of a core: {largest(cpu, '{:.1%}')}",
        f"  {(after.transactions - before.transactions) / seconds:.1f} transactions/s, "
        f"{(after.commands - before.commands) / seconds:.0f} commands/s of Valkey",
    ]


def is_complete(client: httpx.Client, market: str) -> bool:
    """Return whether the newest candles of a market are all proven."""
    answer = client.get("/api/v1/candles", params={"market": market, **CHART})
    return answer.status_code == 200 and bool(answer.json()["complete"])


def addresses_of(home: Path) -> dict[str, str]:
    """Return where this home's servers are."""
    addresses: dict[str, str] = json.loads((home / "run" / "servers.json").read_text())
    return addresses


def count(database: psycopg.Connection[tuple[int]], query: str) -> int:
    """Return the one number that a query gives."""
    row = database.execute(query.encode()).fetchone()
    assert row
    return row[0]


def usage(home: Path) -> Usage:
    """Return what this home's platform has used until now; the question is asked in another database."""
    addresses = addresses_of(home)
    with psycopg.connect(addresses["database_url"].replace("/candlekeep?", "/postgres?")) as database:
        query = "select xact_commit + xact_rollback from pg_stat_database where datname = 'candlekeep'"
        transactions = count(database, query)
    valkey = redis.Redis.from_url(addresses["redis_url"])
    commands = int(valkey.info("stats")["total_commands_processed"])
    valkey.close()
    cpu: dict[str, float] = defaultdict(float)
    for process in processes(home):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            times = process.cpu_times()
            cpu[program(process)] += times.user + times.system
    return Usage(time.monotonic(), transactions, commands, dict(cpu))


def processes(home: Path) -> list[psutil.Process]:
    """Return the processes of this home's platform, servers included."""
    up = psutil.Process(int((home / "run" / "lock").read_text()))
    return [up, *up.children(recursive=True)]


def program(process: psutil.Process) -> str:
    """Return by which name a process's figures are added up."""
    title = " ".join(process.cmdline())
    for part, name in PARTS.items():
        if part in title:
            return name
    return "up" if title.endswith(" up") else title.removeprefix("candlekeep ").strip()


def memory_by_program(home: Path) -> dict[str, float]:
    """Return megabytes by program: a page that n processes share counts as a n-th of it in each."""
    found: dict[str, float] = defaultdict(float)
    for process in processes(home):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # it has just ended
            found[program(process)] += pss(process.pid)
    return dict(found)


def pss(pid: int) -> float:
    """Return the proportional share of a process in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def largest(figures: dict[str, float], form: str) -> str:
    """Return the figures by name, the largest first."""
    ordered = sorted(figures.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {form.format(figure)}" for name, figure in ordered)


def plain_django() -> float:
    """Return the megabytes of a process that has loaded Django and our apps, and does nothing."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", PLAIN_DJANGO]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as plain:
        assert plain.stdout
        plain.stdout.readline()
        return pss(plain.pid)
