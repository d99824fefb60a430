"""Two hundred open pages beside two hundred readers of a series: what the platform spends on each.

Each kind is compared with the platform alone just before it. PAGES and SECONDS in the environment set how many and how
long.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.platform import running, temporary_home
from benchmarks.rest import usage

MARKET = "coinbase:BTC-USD"
MARKETS = [MARKET, "coinbase:ETH-USD", "kraken:BTC-EUR"]
RATE = 5  # trades a second of each
PAGES = int(os.environ.get("PAGES", "200"))
SECONDS = int(os.environ.get("SECONDS", "30"))
WARM_UP_S, SETTLE_S = 90.0, 8.0
CHUNK_BYTES = 1 << 16
SERIES = f"/api/v1/candles/stream?market={MARKET}&timeframe=1m"
# All that a page asks for while it is open: static/dashboard.
KINDS = {
    "readers of a series": SERIES,
    "pages of the markets": "/?part=stream",
    "pages of a chart": f"/markets/{MARKET}?part=stream&timeframe=1m",
}
SERVING = ("web", "sse", "postgres", "valkey")  # the programs that a reader or a page can cost anything


def run() -> Iterator[str]:
    """Start the whole platform on its simulator, and measure its CPU without and with each kind."""
    with temporary_home() as home, running(home, MARKETS, f"--rate {RATE}") as client:
        time.sleep(WARM_UP_S)
        yield f"{PAGES} open at once for {SECONDS} s, {len(MARKETS)} markets, {RATE * len(MARKETS)} trades/s: cores"
        readers = 0.0
        for kind, stream in KINDS.items():
            alone = asyncio.run(_cores(home, client, stream, 0))
            cores = asyncio.run(_cores(home, client, stream, PAGES))
            more = {name: cores[name] - alone.get(name, 0.0) for name in SERVING}
            spent = sum(more.values())
            readers = readers or spent
            parts = ", ".join(f"{name} {value:+.3f}" for name, value in more.items())
            yield f"  {kind:<22}{spent:+.3f} ({parts}): {spent / readers:.2f} times the readers"


async def _cores(home: Path, client: httpx.Client, stream: str, count: int) -> dict[str, float]:
    """Return the cores that each program of the platform uses while so many follow."""
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(_follow(client.get(stream).headers["Location"])))
        await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_S)
    before = usage(home)
    await asyncio.sleep(SECONDS)
    after = usage(home)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {name: (used - before.cpu.get(name, 0.0)) / (after.at - before.at) for name, used in after.cpu.items()}


async def _follow(address: str) -> None:
    url = urlsplit(address)
    await _read(url.port or 80, f"{url.path}?{url.query}")


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
