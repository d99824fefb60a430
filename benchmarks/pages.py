"""Two hundred open pages beside two hundred readers of a series: what the platform spends on each.

The pages are what a browser asks for while one is open: its stream, and the parts that it refreshes. PAGES and SECONDS
in the environment set how many and how long.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.platform import running, temporary_home
from benchmarks.rest import processes

MARKET = "coinbase:BTC-USD"
MARKETS = [MARKET, "coinbase:ETH-USD", "kraken:BTC-EUR"]
RATE = 5  # trades a second of each
PAGES = int(os.environ.get("PAGES", "200"))
SECONDS = int(os.environ.get("SECONDS", "30"))
WARM_UP_S, SETTLE_S = 75.0, 6.0
CHUNK_BYTES = 1 << 16
SERIES = f"/api/v1/candles/stream?market={MARKET}&timeframe=1m"
# What a page follows, and what it asks for every so many seconds while its markets trade: static/dashboard.
KINDS: dict[str, tuple[str, dict[str, float]]] = {
    "readers of a series": (SERIES, {}),
    "pages of the markets": ("/api/v1/tickers/stream", {"/?part=rows": 60, "/?part=summary": 10}),
    "pages of a chart": (
        SERIES,
        {f"/markets/{MARKET}?part=side": 8, f"/api/v1/coverage?market={MARKET}&timeframe=1m&limit=4": 60},
    ),
}


def run() -> Iterator[str]:
    """Start the whole platform on its simulator, and measure its CPU without and with each kind."""
    with temporary_home() as home, running(home, MARKETS, f"--rate {RATE}") as client:
        time.sleep(WARM_UP_S)
        alone = asyncio.run(_cores(home, client, "", {}, 0))
        yield f"{PAGES} open at once for {SECONDS} s, {len(MARKETS)} markets, {RATE * len(MARKETS)} trades/s: cores"
        yield f"  {'the platform alone':<22}{alone:.3f}"
        spent: dict[str, float] = {}
        for kind, (stream, parts) in KINDS.items():
            spent[kind] = asyncio.run(_cores(home, client, stream, parts, PAGES)) - alone
            times = f", {spent[kind] / spent['readers of a series']:.1f} times the readers" if parts else ""
            yield f"  {kind:<22}{spent[kind]:+.3f}{times}"


async def _cores(home: Path, client: httpx.Client, stream: str, parts: dict[str, float], count: int) -> float:
    """Return the cores that the platform uses while so many pages are open."""
    base = urlsplit(str(client.base_url))
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(_follow(client.get(stream).headers["Location"])))
        tasks += [asyncio.create_task(_refresh(base.port or 80, part, every)) for part, every in parts.items()]
        await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_S)
    before, began = _used(home), time.monotonic()
    await asyncio.sleep(SECONDS)
    after, length = _used(home), time.monotonic() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sum(seconds - before[pid] for pid, seconds in after.items() if pid in before) / length


def _used(home: Path) -> dict[int, float]:
    """Return the CPU seconds of each process of the platform."""
    return {process.pid: sum(process.cpu_times()[:2]) for process in processes(home)}


async def _follow(address: str) -> None:
    url = urlsplit(address)
    await _read(url.port or 80, f"{url.path}?{url.query}")


async def _refresh(port: int, part: str, every: float) -> None:
    await asyncio.sleep(random.uniform(0, every))
    while True:
        began = time.monotonic()
        await _read(port, part)
        await asyncio.sleep(max(0.0, every - (time.monotonic() - began)))


async def _read(port: int, path: str) -> None:
    """Read an answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        while await reader.read(CHUNK_BYTES):
            pass
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
