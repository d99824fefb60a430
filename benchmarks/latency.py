"""A trade leaves the provider -> it is visible through the API, at 1,000 trades a second over 20 markets."""

from __future__ import annotations

import json
import statistics
import time

import httpx

from benchmarks.platform import running, temporary_home
from benchmarks.trades import symbols

MARKETS = symbols(20)
RATE = 50  # trades a second of each
WARM_UP_S, MEASURED_S = 15.0, 30.0
POLL_INTERVAL_S = 0.01  # a delay is overstated by at most this and the time of one answer


def run() -> list[str]:
    """Start the whole platform on its simulator, poll one market's newest trades, and compare the times."""
    with temporary_home() as home:
        with running(home, MARKETS, f"--rate {RATE}") as client:
            time.sleep(WARM_UP_S)
            seen = _watch(client)

        sent: dict[str, int] = {}
        for line in (home / "simulator" / "sent.jsonl").read_text().splitlines():
            row = json.loads(line)
            if row["event"] == "trade" and row["market"] == MARKETS[0] and not row.get("replayed"):
                sent[row["id"]] = row["at"]
        delays = [(at - sent[trade]) / 1e9 for trade, at in seen.items() if trade in sent]
    p99 = statistics.quantiles(delays, n=100)[98]
    return [
        f"trade sent -> visible through the API: {len(MARKETS) * RATE:,} trades/s, {len(delays):,} of one market timed",
        f"  p50 {statistics.median(delays) * 1000:.0f} ms (target 150), p99 {p99 * 1000:.0f} ms",
    ]


def _watch(client: httpx.Client) -> dict[str, int]:
    """Return when (ns) each trade of the first market was first seen in an answer."""
    first: dict[str, int] = {}
    end = time.monotonic() + MEASURED_S
    known = True  # what the first answer holds was visible before it
    while time.monotonic() < end:
        answer = client.get("/api/v1/trades", params={"market": MARKETS[0], "limit": 150})
        now = time.time_ns()
        rows = answer.raise_for_status().json()
        column = rows["columns"].index("trade_id")
        for row in rows["trades"]:
            first.setdefault(row[column], 0 if known else now)
        known = False
        time.sleep(POLL_INTERVAL_S)
    return {trade: at for trade, at in first.items() if at}
