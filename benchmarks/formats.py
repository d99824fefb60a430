"""A year of minutes in each format, from the web process as `up` starts it, beside COPY of the same rows, in turns.

Seconds by the clock are those of an idle machine only; seconds of CPU count the database and the taker of its rows, so
that they can be compared on any. JSON lines have a COPY of their own, since they are twice as long.
"""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from importlib.util import find_spec
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


def run() -> list[str]:
    """Fill a market, ask for all of it in every format, and compare."""
    market = make_year(SYMBOL)
    names = [name for name, form in FORMATS.items() if form.in_blocks or find_spec("pyarrow")]
    limits: dict[str, list[Reading]] = {COPY_YEAR: [], COPY_JSON_LINES: []}
    found: dict[str, list[Reading]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        # pyarrow imports numpy where it is there, as for development; requirements-arrow.txt has none.
        (Path(folder) / "numpy.py").write_text("raise ImportError")
        with web_process({"PYTHONPATH": folder}) as (port, pid):
            very_first = _download(port, "arrow", [psutil.Process(pid)], 60).first if "arrow" in names else 0.0
        with web_process({"PYTHONPATH": folder}) as (port, pid):
            web = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            rest = _memory(web)
            begun = {name: _download(port, name, web, 60).first for name in names}
            for _ in range(ROUNDS):
                for statement, some in limits.items():
                    some.append(_copy(statement, market))
                for name in names:
                    found[name].append(_download(port, name, web, YEAR_MINUTES - 60))
            peak = max(one.peak for some in found.values() for one in some)
    copied, lines = (_median(some) for some in limits.values())
    return [
        f"a year of minutes, {YEAR_MINUTES:,} candles, median of {ROUNDS}; COPY of the same rows {copied.whole:.2f} s "
        f"({copied.cpu:.2f} of CPU), as JSON lines {lines.whole:.2f} s ({lines.cpu:.2f} of CPU)",
        *(_line(name, some, lines if name == "ndjson" else copied, begun[name]) for name, some in found.items()),
        f"  the first arrow of a market, for which all its rows are looked at: first byte {very_first * 1000:.0f} ms",
        f"  the process that serves: {rest:.0f} MB at rest, at most {peak:.0f} MB (target {PEAK_MB} MB)",
    ]


def _line(name: str, some: list[Reading], limit: Reading, begun: float) -> str:
    middle = _median(some)
    target = f" (target {TIMES_OF_COPY[name]})" if name in TIMES_OF_COPY else ""
    return (
        f"  {name:<10}{middle.whole:>6.2f} s, {middle.whole / limit.whole:.2f} times COPY{target}, "
        f"{middle.cpu / limit.cpu:.2f} of its CPU, first byte {middle.first * 1000:.0f} ms (target {FIRST_BYTE_MS}; "
        f"of the first of a process {begun * 1000:.0f}), {middle.size / 1e6:.1f} MB"
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
