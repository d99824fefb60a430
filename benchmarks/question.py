"""What one GET candles costs: CPU of this process, of PostgreSQL and of Valkey, without a socket in between.

For comparison, in turns with it: a view of plain Django, and one of Django REST framework with keys and limits, which
answer b''. CPU counts and not the clock, so other work of the machine matters little. For rates: `make bench ARGS=api`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import psutil
from django.conf import settings
from django.db import connections
from django_redis import get_redis_connection

from benchmarks.made_year import make_year
from config.supervision.web import pooled_application
from datastore.db.queries import execute
from datastore.ingest import market_cache
from datastore.models import Market

SYMBOL = "coinbase:QUESTION-USD"
MINUTES = 20_000
ROUNDS = 5
CANDLES = f"/api/v1/candles?market={SYMBOL}&timeframe=1m"
BARS = f"/udf/history?symbol={SYMBOL}&resolution=1&from=0&countback=500&to=4000000000"
# What is asked for, and how often in a round. {n} differs each time, so that no cached answer helps.
QUESTIONS = {
    "empty view, plain Django": ("/empty", 500),
    "empty view, DRF, limit": ("/framework", 300),
    "newest 500, hot": (CANDLES, 500),
    "newest 500 bars (UDF), hot": (BARS, 500),
    "500 candles, cold": (f"{CANDLES}&to={{n}}", 150),
    "newest 450 to 500, cold": (f"{CANDLES}&limit={{limit}}", 50),
    "500 of 5m, cold": (f"{CANDLES.replace('1m', '5m')}&to={{n}}", 60),
    "a page of 10,000, cold": (f"{CANDLES}&from={{from}}&limit=10000", 20),
}
STILL_LIVE = (
    "update coverage set stop = clock_timestamp() where source = 'live'",
    "update market set live_stop = clock_timestamp(), watermark = clock_timestamp()",
)


class Cpu(NamedTuple):
    """Milliseconds of CPU: of this process, and of the servers beside it."""

    python: float
    postgres: float
    valkey: float


def run() -> Iterator[str]:
    """Make a market, ask each question in turns, and yield the lines to print."""
    Market.objects.filter(pk=make_year(SYMBOL, MINUTES).pk).update(followed=True)
    settings.ROOT_URLCONF, settings.RATE_LIMIT_PER_ADDRESS = "benchmarks.urls", 6_000_000
    connections.close_all()
    application = pooled_application()
    costs: dict[str, list[Cpu]] = {name: [] for name in QUESTIONS}
    for number in range(ROUNDS + 1):  # the first one warms up
        for name, (path, count) in QUESTIONS.items():
            cost = _cost(application, path, count)
            if number:
                costs[name].append(cost)

    yield f"CPU of one question in ms, median of {ROUNDS} rounds"
    yield f"  {'':<28}{'Python':>8}{'PostgreSQL':>12}{'Valkey':>8}{'together':>10}  of the empty view"
    empty = median(sum(cost) for cost in costs["empty view, plain Django"])
    for name, found in costs.items():
        python, postgres, valkey = (median(column) for column in zip(*found, strict=True))
        together = median(sum(cost) for cost in found)
        shown = f"{python:>8.2f}{postgres:>12.2f}{valkey:>8.2f}{together:>10.2f}{together / empty:>8.1f}"
        yield f"  {name:<28}{shown}"


def _cost(application: Callable[..., Any], path: str, count: int) -> Cpu:
    """Return what one of `count` questions costs."""
    for statement in STILL_LIVE:
        execute(statement)
    cache = get_redis_connection("default")
    if "{limit}" in path and (kept := cache.keys("ck:answer*")):
        cache.delete(*kept)
    market_cache.write_followed()
    connections.close_all()

    now = int(time.time() * 1000)
    first = now - (MINUTES - 10_000 - count) * 60_000
    before = _cpu()
    for number in range(count):
        values = {"n": now - number, "limit": 450 + number, "from": first - number * 60_000}
        _ask(application, path.format_map(values))
    return Cpu(*((after - was) / count for after, was in zip(_cpu(), before, strict=True)))


def _cpu() -> Cpu:
    """Return the milliseconds that each has used so far."""
    used = {"postgres": 0.0, "valkey": 0.0}
    for process in psutil.Process().children(recursive=True):
        for name in used:
            if name in process.name():
                times = process.cpu_times()
                used[name] += (times.user + times.system) * 1000
    return Cpu(time.process_time() * 1000, used["postgres"], used["valkey"])


def _ask(application: Callable[..., Any], address: str) -> None:
    """Ask as the web server does; raise RuntimeError if the answer is not 200."""
    path, _, query = address.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.multithread": True,
    }
    statuses: list[str] = []
    response = application(environ, lambda status, headers, error=None: statuses.append(status))
    b"".join(response)
    response.close()
    if not statuses[0].startswith("200"):
        raise RuntimeError(f"{address}: {statuses[0]}")
