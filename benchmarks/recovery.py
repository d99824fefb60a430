"""Five minutes without the provider's socket: how long after the new connection everything is repaired."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.platform import running, temporary_home
from tests.support.polling import until

MARKET = "coinbase:BTC-USD"
OUTAGE_S = 300
FINAL_AFTER_S = 60  # after its end, a minute of the provider's is final
MINUTE_S = 60
TIMEOUT_S = 240.0


def run() -> list[str]:
    """Drop the socket; compare the time of the repair with the earliest time at which the provider had everything."""
    with temporary_home() as home, running(home, [MARKET]) as client:
        before = (time.time() // MINUTE_S + 1) * MINUTE_S
        until("a live feed", lambda: _known_to(client) > before, TIMEOUT_S)
        provider = json.loads((home / "run" / "servers.json").read_text())["CRYPTOCOMPARE_REST_URL"]
        dropped = time.time()
        httpx.post(f"{provider}/control/drop", json={"seconds": OUTAGE_S}).raise_for_status()
        back = until("a new connection", lambda: _subscribed_since(home, dropped), OUTAGE_S + TIMEOUT_S)
        missing = _missing(client, dropped, back)
        repaired = until("the repair", lambda: not _missing(client, dropped, back) and time.time(), TIMEOUT_S)
    # The feed came back within a minute: only the provider has that minute whole, and only once it is final.
    final = (back // MINUTE_S + 1) * MINUTE_S + FINAL_AFTER_S
    return [
        f"outage of {back - dropped:.0f} s: {missing} of its minutes not yet repaired at the new connection",
        f"  repaired {repaired - back:.1f} s after it; the limit is the provider's own, whose last minute of them was"
        f" final {final - back:.1f} s after it: {repaired - final:.1f} s are ours (target 60)",
    ]


def _known_to(client: httpx.Client) -> float:
    return (_candles(client, limit=1)["watermark"] or 0) / 1000


def _candles(client: httpx.Client, **more: int) -> dict[str, Any]:
    parameters: dict[str, str | int] = {"market": MARKET, "timeframe": "1m", "wait": 0, **more}
    return dict(client.get("/api/v1/candles", params=parameters).raise_for_status().json())


def _missing(client: httpx.Client, start: float, stop: float) -> int:
    """Return how many minutes, from that of `start` to that of `stop`, are not proven."""
    first, last = start // MINUTE_S * MINUTE_S, stop // MINUTE_S * MINUTE_S + MINUTE_S
    parts = _candles(client, **{"from": int(first * 1000), "to": int(last * 1000)})["coverage"]
    gaps = [part for part in parts if part["state"] not in ("live", "provider", "merged")]
    return int(sum(part["to"] - part["from"] for part in gaps) // (MINUTE_S * 1000))


def _subscribed_since(home: Path, time_before: float) -> float | None:
    """Return when the market's first subscription after a time was complete."""
    lines = (home / "simulator" / "sent.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines if '"subscribed"' in line]
    return next((event["at"] / 1e9 for event in events if event["at"] / 1e9 > time_before), None)
