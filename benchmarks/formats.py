"""A year of minutes in each format, from the web process as `up` starts it, beside COPY of the same rows, in turns."""

from __future__ import annotations

import http.client
import statistics
import time
from importlib.util import find_spec
from typing import NamedTuple

import psutil

from benchmarks.made_year import YEAR_MINUTES, make_year
from benchmarks.year import SYMBOL, copy_seconds, now_ms, web_process
from datastore.series.written_format import FORMATS

ROUNDS = 3
READ_BYTES = 1 << 18
TIMES_OF_COPY = {"csv": 1.3, "ndjson": 1.3, "arrow": 1.6, "parquet": 2.5}
FIRST_BYTE_MS, PEAK_MB = 100, 150


class Download(NamedTuple):
    """One answer: seconds to its first byte and to its last, its bytes, and the most that the process added, in MB."""

    first: float
    whole: float
    size: int
    grown: float


def run() -> list[str]:
    """Fill a market, ask for all of it in every format, and compare."""
    market = make_year(SYMBOL)
    names = [name for name, form in FORMATS.items() if form.in_blocks or find_spec("pyarrow")]
    limits: list[float] = []
    found: dict[str, list[Download]] = {name: [] for name in names}
    with web_process() as (port, pid):
        web = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        rest = _memory(web)
        for name in names:
            _download(port, name, web, 60)  # what is imported once is no part of an answer
        for _ in range(ROUNDS):
            limits.append(copy_seconds(market))
            for name in names:
                found[name].append(_download(port, name, web, YEAR_MINUTES - 60))
        peak = max(one.grown for some in found.values() for one in some)
    limit = statistics.median(limits)
    return [
        f"a year of minutes, {YEAR_MINUTES:,} candles, median of {ROUNDS}; COPY of the same rows {limit:.2f} s",
        *(_line(name, some, limit) for name, some in found.items()),
        f"  web process at rest {rest:.0f} MB, at most {peak:.0f} MB (target {PEAK_MB} MB)",
    ]


def _line(name: str, some: list[Download], limit: float) -> str:
    first = statistics.median(one.first for one in some) * 1000
    whole = statistics.median(one.whole for one in some)
    target = f" (target {TIMES_OF_COPY[name]})" if name in TIMES_OF_COPY else ""
    return (
        f"  {name:<10}{whole:>6.2f} s, {whole / limit:.2f} times COPY{target}, first byte {first:.0f} ms "
        f"(target {FIRST_BYTE_MS}), {some[0].size / 1e6:.1f} MB"
    )


def _download(port: int, name: str, web: list[psutil.Process], minutes: int) -> Download:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    now = now_ms()
    span = f"from={now - minutes * 60_000}&to={now}&wait=0"
    began = time.perf_counter()
    client.request("GET", f"/api/v1/candles?market={SYMBOL}&timeframe=1m&{span}&format={name}")
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    size, first, looked, grown = len(answer.read(1)), time.perf_counter() - began, began, 0.0
    while data := answer.read(READ_BYTES):
        size += len(data)
        if time.perf_counter() - looked > 0.1:
            looked, grown = time.perf_counter(), max(grown, _memory(web))
    client.close()
    return Download(first, time.perf_counter() - began, size, grown)


def _memory(web: list[psutil.Process]) -> float:
    """Return the memory that belongs to the web process alone, in MB."""
    return sum(process.memory_full_info().pss for process in web) / 1e6
