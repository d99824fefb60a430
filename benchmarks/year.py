"""A year of minutes, the newest 500 uncached, and an export, compared with the bare database in the same run."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
ENCODINGS = {"identity": " (target 2)", "zstd": "", "gzip": ""}  # with what is printed after the time
START_TIMEOUT_S = 30.0
COPY_YEAR = """
copy (select open_time, open, high, low, close, volume, quote_volume, revision from provider_candle
       where market_id = %s and resolution = 60 order by open_time) to stdout
"""


def run() -> list[str]:
    """Fill a market, start the web process as `up` does, and time its answers, in turns with the bare database."""
    market = make_year(SYMBOL)
    seconds: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    with web_process() as (port, _):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        _cold(client, WARM_UP_QUESTIONS)
        cold = _cold(client, COLD_QUESTIONS)
        for _ in range(ROUNDS):
            seconds.setdefault("limit", []).append(copy_seconds(market))
            for encoding in ENCODINGS:
                took, sizes[encoding] = _year(client, encoding)
                seconds.setdefault(encoding, []).append(took)

            began = time.perf_counter()
            argv = [
                sys.executable,
                "manage.py",
                "export",
                SYMBOL,
                "--from",
                str(now_ms() - (YEAR_MINUTES - 60) * 60_000),
            ]
            output = ["--output", str(Path(os.environ["CANDLEKEEP_HOME"]) / "run" / "year.csv")]
            subprocess.run([*argv, *output], check=True, env=dict(os.environ), capture_output=True)
            seconds.setdefault("export", []).append(time.perf_counter() - began)
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    limit, p99 = middle["limit"], statistics.quantiles(cold, n=100)[98] * 1000
    return [
        f"a year of minutes, {YEAR_MINUTES:,} candles, median of {ROUNDS}",
        f"  {'COPY of the same rows (limit)':<34}{limit:>7.2f} s",
        *(
            f"  {f'json by `next`, {name}':<34}{middle[name]:>7.2f} s{note}, {sizes[name] / 1e6:.1f} MB, "
            f"{middle[name] / limit:.1f} times the limit"
            for name, note in ENCODINGS.items()
        ),
        f"  {'manage.py export, csv':<34}{middle['export']:>7.2f} s, {middle['export'] / limit:.1f} times the limit",
        f"newest 500 minutes, {COLD_QUESTIONS} different questions: "
        f"p50 {statistics.median(cold) * 1000:.1f} ms (target 10), p99 {p99:.1f} ms",
    ]


def copy_seconds(market: Market) -> float:
    """Return how long the bare database takes to copy the same rows out."""
    with psycopg.connect(settings.DATABASE_URL) as plain, plain.cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(COPY_YEAR.replace("%s", str(market.pk))) as copy:
            for _ in copy:
                pass
        return time.perf_counter() - began


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


def _year(client: http.client.HTTPConnection, encoding: str) -> tuple[float, int]:
    """Follow `next` to the end; return the seconds and the bytes received."""
    now, rows, size = now_ms(), 0, 0
    path: str | None = (
        f"/api/v1/candles?market={SYMBOL}&timeframe=1m&from={now - (YEAR_MINUTES - 60) * 60_000}&to={now}"
    )
    began = time.perf_counter()
    while path:
        body, came = _get(client, path, encoding)
        size += came
        path = json.loads(b"{" + body[body.rindex(b'"next":') :])["next"]
        rows += body.count(b"\n") + 1
    seconds = time.perf_counter() - began
    assert rows > YEAR_MINUTES - 2000, rows
    return seconds, size
