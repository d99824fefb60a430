"""A year of minutes in each format, from the web process as `up` starts it, beside COPY of the same rows, in turns.

Seconds by the clock are those of an idle machine only; seconds of CPU count the database and the taker of its rows, so
that they can be compared on any. JSON lines have a COPY of their own, since they are twice as long.
"""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
from django.conf import settings

from benchmarks.made_year import YEAR_MINUTES, make_year
from benchmarks.year import COPY_YEAR, SYMBOL, cpu_of, now_ms, web_process
from datastore.models import Market
from datastore.series.written_format import FORMATS

ROUNDS = 3
SETTLE_S = 5.0  # a process that has just begun loads pyarrow beside the first questions
READ_BYTES = 1 << 18
TIMES_OF_COPY = {"csv": 1.3, "ndjson": 1.3, "arrow": 1.6, "parquet": 2.5}
FIRST_BYTE_MS, PEAK_MB = 100, 150
COPY_JSON_LINES = """
copy (select row_to_json(x) from (
        select date_part('epoch', open_time)::bigint * 1000 as time, open, high, low, close, volume, quote_volume,
               null as trades, 'provider' as source, true as closed, revision
          from provider_candle where market_id = %s and resolution = 60 order by open_time) x) to stdout
"""


class Reading(NamedTuple):
    """One answer or COPY: seconds to its first byte, to its last, and of CPU; bytes, and the most memory in MB."""

    first: float
    whole: float
    cpu: float
    size: int = 0
    peak: float = 0.0


class Measured(NamedTuple):
    """The readings of COPY by statement and of the formats by name, and the process that answers.

    new: seconds to the first byte of the first answer in each format that a process gives, of very few rows; unknown:
    of the first arrow of a market, for which all its rows are looked at, by a process that must load pyarrow first.
    bare, rest: memory in MB of a process that has just begun, without pyarrow and with it.
    """

    limits: dict[str, list[Reading]]
    found: dict[str, list[Reading]]
    new: dict[str, float]
    unknown: float
    bare: float
    rest: float


def run() -> list[str]:
    """Fill a market, ask for all of it in every format, and compare."""
    market = make_year(SYMBOL)
    with tempfile.TemporaryDirectory() as folder:
        # pyarrow imports numpy where it is there, as for development; requirements-arrow.txt has none.
        (Path(folder) / "numpy.py").write_text("raise ImportError")
        one = _measured(market, {"PYTHONPATH": folder})
    copied, lines = (_median(some) for some in one.limits.values())
    peak = max(reading.peak for some in one.found.values() for reading in some)
    return [
        f"a year of minutes, {YEAR_MINUTES:,} candles, median of {ROUNDS}; COPY of the same rows {copied.whole:.2f} s "
        f"({copied.cpu:.2f} of CPU), as JSON lines {lines.whole:.2f} s ({lines.cpu:.2f} of CPU)",
        *(_line(name, some, lines if name == "ndjson" else copied, one.new[name]) for name, some in one.found.items()),
        f"  the first arrow of a market, before pyarrow is loaded: first byte {one.unknown * 1000:.0f} ms",
        f"  the process that serves: {one.bare:.0f} MB at rest, {one.rest:.0f} MB with pyarrow, at most {peak:.0f} MB "
        f"(target {PEAK_MB} MB)",
    ]


def _measured(market: Market, environment: Mapping[str, str]) -> Measured:
    names = list(FORMATS)
    limits: dict[str, list[Reading]] = {COPY_YEAR: [], COPY_JSON_LINES: []}
    found: dict[str, list[Reading]] = {name: [] for name in names}
    with web_process(environment) as (port, pid):
        web = _processes(pid)
        _download(port, "csv", web, 60)
        bare = _memory(web)
        unknown = _download(port, "arrow", web, 60).first
    with web_process(environment) as (port, pid):
        web = _processes(pid)
        time.sleep(SETTLE_S)
        rest = _memory(web)
        new = {name: _download(port, name, web, 60).first for name in names}
        for _ in range(ROUNDS):
            for statement, some in limits.items():
                some.append(_copy(statement, market))
            for name in names:
                found[name].append(_download(port, name, web, YEAR_MINUTES - 60))
    return Measured(limits, found, new, unknown, bare, rest)


def _processes(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def _line(name: str, some: list[Reading], limit: Reading, begun: float) -> str:
    middle = _median(some)
    target = f" (target {TIMES_OF_COPY[name]})" if name in TIMES_OF_COPY else ""
    return (
        f"  {name:<10}{middle.whole:>6.2f} s, {middle.whole / limit.whole:.2f} times COPY{target}, "
        f"{middle.cpu / limit.cpu:.2f} of its CPU, first byte {middle.first * 1000:.0f} ms (target {FIRST_BYTE_MS}; "
        f"of a process's first {begun * 1000:.0f}), {middle.size / 1e6:.1f} MB"
    )


def _median(some: list[Reading]) -> Reading:
    first, whole, cpu, size, peak = (statistics.median(column) for column in zip(*some, strict=True))
    return Reading(first, whole, cpu, int(size), peak)


def _copy(statement: str, market: Market) -> Reading:
    with psycopg.connect(settings.DATABASE_URL) as plain, plain.cursor() as cursor:
        began, spent = time.perf_counter(), cpu_of([psutil.Process()])
        with cursor.copy(statement.replace("%s", str(market.pk))) as copy:
            for _ in copy:
                pass
        return Reading(0.0, time.perf_counter() - began, spent())


def _download(port: int, name: str, web: list[psutil.Process], minutes: int) -> Reading:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    now = now_ms()
    span = f"from={now - minutes * 60_000}&to={now}&wait=0"
    began, spent = time.perf_counter(), cpu_of(web)
    client.request("GET", f"/api/v1/candles?market={SYMBOL}&timeframe=1m&{span}&format={name}")
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    size, first, looked, peak = len(answer.read(1)), time.perf_counter() - began, began, 0.0
    while data := answer.read(READ_BYTES):
        size += len(data)
        if time.perf_counter() - looked > 0.1:
            looked, peak = time.perf_counter(), max(peak, _memory(web))
    client.close()
    return Reading(first, time.perf_counter() - began, spent(), size, peak)


def _memory(web: list[psutil.Process]) -> float:
    """Return the memory of the process that answers, the share of a page that several use, in MB."""
    return max(process.memory_full_info().pss for process in web) / 1e6
