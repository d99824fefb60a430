"""Five minutes without the provider's socket: how long from the new connection until nothing is missing any more."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx

from benchmarks.platform import folder, running
from tests.support.polling import until

MARKET = "coinbase:BTC-USD"
OUTAGE = 300  # seconds
CACHE_AGE = 60  # seconds after its end at which a minute of the provider's is final
MINUTE = 60
PATIENCE = 240.0


def run() -> list[str]:
    """Drop the socket for the outage; compare the repair with the earliest time at which the provider had it all."""
    with folder() as home, running(home, [MARKET]) as client:
        before = (time.time() // MINUTE + 1) * MINUTE
        until("a live feed", lambda: _known_to(client) > before, PATIENCE)
        provider = json.loads((home / "run" / "servers.json").read_text())["rest_url"]
        dropped = time.time()
        httpx.post(f"{provider}/control/drop", json={"seconds": OUTAGE}).raise_for_status()
        back = until("a new connection", lambda: _subscribed_since(home, dropped), OUTAGE + PATIENCE)
        missing = _missing(client, dropped, back)
        repaired = until("the repair", lambda: not _missing(client, dropped, back) and time.time(), PATIENCE)
    # The feed came back within a minute: only the provider has it whole, and not before it is final.
    final = (back // MINUTE + 1) * MINUTE + CACHE_AGE
    return [
        f"outage of {back - dropped:.0f} s: {missing} of its minutes not yet repaired at the new connection",
        f"  repaired {repaired - back:.1f} s after it; the limit is the provider's own, whose last minute of them was"
        f" final {final - back:.1f} s after it: {repaired - final:.1f} s are ours (target 60)",
    ]


def _known_to(client: httpx.Client) -> float:
    return (_candles(client, limit=1)["watermark"] or 0) / 1000


def _candles(client: httpx.Client, **asked: int) -> dict[str, object]:
    wanted = {"market": MARKET, "timeframe": "1m", "wait": 0, **asked}
    return dict(client.get("/api/v1/candles", params=wanted).raise_for_status().json())


def _missing(client: httpx.Client, start: float, stop: float) -> int:
    """Return how many minutes from the one of `start` to the one of `stop` are not proven."""
    first, last = start // MINUTE * MINUTE, stop // MINUTE * MINUTE + MINUTE
    parts = _candles(client, **{"from": int(first * 1000), "to": int(last * 1000)})["coverage"]
    lacking = [part for part in parts if part["state"] not in ("live", "provider", "merged")]
    return sum(part["to"] - part["from"] for part in lacking) // (MINUTE * 1000)


def _subscribed_since(home: Path, time_before: float) -> float | None:
    """Return when the market's first subscription after a time was complete."""
    lines = (home / "simulator" / "sent.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines if '"subscribed"' in line]
    return next((event["at"] / 1e9 for event in events if event["at"] / 1e9 > time_before), None)
