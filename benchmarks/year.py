"""A year of minutes, the newest 500 uncached, and an export, compared with the bare database in the same run."""

from __future__ import annotations

import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import zstandard
from django.conf import settings

from benchmarks.made_year import YEAR_MINUTES, make_year
from config.supervision.embedded_servers import free_port
from config.supervision.processes import environment, web_program
from datastore.models import Market

SYMBOL = "coinbase:YEAR-USD"
COLD_QUESTIONS, WARM_UP_QUESTIONS = 300, 20
ROUNDS = 3
ENCODINGS = {"identity": " (target 1.6)", "zstd": "", "gzip": ""}  # with what is printed after the time
START_TIMEOUT_S = 120.0  # on a busy machine
COPY_YEAR = """
copy (select open_time, open, high, low, close, volume, quote_volume, revision from provider_candle
       where market_id = %s and resolution = 60 order by open_time) to stdout
"""


class Spent(NamedTuple):
    """Seconds by the clock, and of CPU: of the database and of the process that takes its rows."""

    seconds: float
    cpu: float


def run() -> list[str]:
    """Fill a market, start the web process as `up` does, and time its answers, in turns with the bare database."""
    market = make_year(SYMBOL)
    spent: dict[str, list[Spent]] = {}
    sizes: dict[str, int] = {}
    with web_process() as (port, pid):
        web = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        _cold(client, WARM_UP_QUESTIONS)
        cold = _cold(client, COLD_QUESTIONS)
        for _ in range(ROUNDS):
            spent.setdefault("limit", []).append(copy_year(market))
            for encoding in ENCODINGS:
                took, sizes[encoding] = _year(port, encoding, web)
                spent.setdefault(encoding, []).append(took)
            spent.setdefault("export", []).append(_export(YEAR_MINUTES - 60))
            spent.setdefault("export of an hour", []).append(_export(60))
    middle = {name: Spent(*map(statistics.median, zip(*found, strict=True))) for name, found in spent.items()}
    limit, p99 = middle["limit"], statistics.quantiles(cold, n=100)[98] * 1000
    return [
        f"a year of minutes, {YEAR_MINUTES:,} candles, median of {ROUNDS}",
        f"  {'COPY of the same rows (limit)':<34}{limit.seconds:>7.2f} s, {limit.cpu:.2f} of CPU",
        *(
            f"  {f'json by `next`, {name}':<34}{_compared(middle[name], limit)}{note}, {sizes[name] / 1e6:.1f} MB"
            for name, note in ENCODINGS.items()
        ),
        f"  {'manage.py export, csv':<34}{_compared(middle['export'], limit)}",
        f"  {'the same of an hour':<34}{_compared(middle['export of an hour'], limit)}: the start of a command",
        f"newest 500 minutes, {COLD_QUESTIONS} different questions: "
        f"p50 {statistics.median(cold) * 1000:.1f} ms (target 10), p99 {p99:.1f} ms",
    ]


def _compared(one: Spent, limit: Spent) -> str:
    times, of_cpu = one.seconds / limit.seconds, one.cpu / limit.cpu
    return f"{one.seconds:>7.2f} s, {times:.1f} times the limit, {one.cpu:.2f} of CPU, {of_cpu:.2f} times"


def copy_year(market: Market) -> Spent:
    """Let the bare database copy the same rows out."""
    with psycopg.connect(settings.DATABASE_URL) as plain, plain.cursor() as cursor:
        began, cpu = time.perf_counter(), cpu_of([psutil.Process()])
        with cursor.copy(COPY_YEAR.replace("%s", str(market.pk))) as copy:
            for _ in copy:
                pass
        return Spent(time.perf_counter() - began, cpu())


def cpu_of(takers: Sequence[psutil.Process]) -> Callable[[], float]:
    """Return what says how many seconds of CPU the database and these processes have used since."""
    lock = Path(os.environ["CANDLEKEEP_HOME"]) / "postgres" / ".s.PGSQL.5432.lock"
    postmaster = psutil.Process(int(lock.read_text().split()[0]))

    def used() -> float:
        total = 0.0
        for process in (*postmaster.children(), *takers):
            with suppress(psutil.NoSuchProcess):  # a session ends; then its time is that of the ended ones
                times = process.cpu_times()
                total += times.user + times.system
        ended = postmaster.cpu_times()
        return total + ended.children_user + ended.children_system

    before = used()
    return lambda: used() - before


def _export(minutes: int) -> Spent:
    """Write the newest minutes to a file by the command."""
    folder = Path(os.environ["CANDLEKEEP_HOME"]) / "run"
    argv = [sys.executable, "manage.py", "export", SYMBOL, "--from", str(now_ms() - minutes * 60_000)]
    began, cpu, before = time.perf_counter(), cpu_of([]), _cpu_of_ended_children()
    output = ["--output", str(folder / "year.csv")]
    subprocess.run([*argv, *output], check=True, env=dict(os.environ), capture_output=True)
    return Spent(time.perf_counter() - began, cpu() + _cpu_of_ended_children() - before)


def _cpu_of_ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def web_process(more: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Start only the web process of the platform, with more in its environment; yield its port and its process id."""
    port = free_port()
    servers = {
        "CRYPTOCOMPARE_REST_URL": "http://127.0.0.1:1",
        "CRYPTOCOMPARE_WS_URL": "ws://127.0.0.1:1",
    }  # nothing is fetched here
    addresses = {"database_url": settings.DATABASE_URL, "redis_url": settings.REDIS_URL, **servers}
    program = web_program(environment({**addresses, "stream_url": settings.REDIS_URL}))
    env = {**program.env, **(more or {}), "PORT": str(port)}
    process = subprocess.Popen(program.argv, env=env, cwd=program.cwd, stdin=subprocess.DEVNULL)
    try:
        _await(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            client.request("GET", "/health/live")
            if client.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the web process does not start")


def _get(client: http.client.HTTPConnection, path: str, encoding: str = "identity") -> tuple[bytes, int]:
    client.request("GET", path, headers={"Accept-Encoding": encoding})
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == 200, (answer.status, body[:500])
    return _unpacked(body, answer.getheader("Content-Encoding", "identity")), len(body)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompress(body)
    return zlib.decompress(body, 31) if encoding == "gzip" else body


def now_ms() -> int:
    """Return the start of this minute in milliseconds."""
    return int(time.time()) // 60 * 60_000


def _cold(client: http.client.HTTPConnection, count: int) -> list[float]:
    """Request different 500 minutes each time, so that no cached answer helps; return the seconds of each."""
    seconds = []
    for back in range(count):
        path = f"/api/v1/candles?market={SYMBOL}&timeframe=1m&limit=500&to={now_ms() - back * 60_000}"
        began = time.perf_counter()
        _get(client, path)
        seconds.append(time.perf_counter() - began)
    return seconds


def _year(port: int, encoding: str, web: Sequence[psutil.Process]) -> tuple[Spent, int]:
    """Follow `next` to the end; return what it took and the bytes received."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=600)  # one that waited idle would be closed
    now, rows, size = now_ms(), 0, 0
    path: str | None = (
        f"/api/v1/candles?market={SYMBOL}&timeframe=1m&from={now - (YEAR_MINUTES - 60) * 60_000}&to={now}"
    )
    began, cpu = time.perf_counter(), cpu_of(web)
    while path:
        body, came = _get(client, path, encoding)
        size += came
        path = json.loads(b"{" + body[body.rindex(b'"next":') :])["next"]
        rows += body.count(b"\n") + 1
    took = Spent(time.perf_counter() - began, cpu())
    assert rows > YEAR_MINUTES - 2000, rows
    return took, size
