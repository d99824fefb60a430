"""Two live Producers carry the same markets: either is killed and restarted, and every minute stays whole."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.e2e.platform import Platform
from tests.support.polling import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
SPEED = 10
MARKETS = ["coinbase:BTC-USD", "coinbase:ETH-USD"]
CLAIMED_AFTER_S = 30  # of the provider's time: claims stay some seconds behind
MINUTE_MS, MINUTE_NS = 60_000, 60_000_000_000
COPIES = ("producer", "producer-2")
SETTINGS = {
    "MARKETS": ",".join(MARKETS),
    "LIVE_COPIES": "2",
    "SIMULATOR_ARGS": f"--speed {SPEED} --rate 2",
    "STALE_AFTER": str(90 * SPEED),
}


def pid_of(platform: Platform, name: str) -> int | None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(platform._up.pid).children():
            with suppress(psutil.NoSuchProcess):
                if " ".join(child.cmdline()).strip() == f"candlekeep {name}":
                    return child.pid
    return None


def sockets(platform: Platform) -> int:
    """Return how many connections have all markets."""
    found = platform.provider.get("/control/venues").json()["coinbase"]["sockets"]
    return sum(len(socket["subscriptions"]) == 2 * len(MARKETS) for socket in found)


def restart(platform: Platform, name: str, how: signal.Signals) -> None:
    """End a copy, and wait until another process in its place has all markets again, and has had them for a while."""
    before = until(f"{name} runs", lambda: pid_of(platform, name), 60)
    os.kill(before, how)
    until(f"{name} is gone", lambda: sockets(platform) < 2, 30)
    until(f"{name} is back", lambda: pid_of(platform, name) not in (None, before) and sockets(platform) == 2, 60)
    back = platform.provider_now()
    until("it claims what it has", lambda: platform.provider_now() > back + CLAIMED_AFTER_S, 60)


def proven(platform: Platform, market: str, since: int, stop: int) -> dict[str, Any] | None:
    """Return the answer once all of [since, stop) is proven."""
    body = platform.candles(market, **{"from": since, "to": stop, "wait": 0})
    return body if body["complete"] and body["complete_until"] >= stop else None


def traded(platform: Platform, market: str, since: int, stop: int) -> dict[int, list[Any]]:
    """Return the venue's own trades of [since, stop), in ms, by minute."""
    asked: dict[str, str | int] = {"market": market, "from": since * 1_000_000, "to": stop * 1_000_000}
    found: dict[int, list[Any]] = defaultdict(list)
    for row in platform.provider.get("/control/trades", params=asked).json()["trades"]:
        found[row[3] // MINUTE_NS * MINUTE_MS].append(row)
    return found


def restarted_one_after_the_other(platform: Platform) -> tuple[int, int]:
    """Kill each copy and then stop each; return a span (ms) of whole minutes around that."""
    since = (round(platform.provider_now() * 1000) // MINUTE_MS + 2) * MINUTE_MS
    until("that minute has begun", lambda: platform.provider_now() * 1000 > since, 60)
    for how in (signal.SIGKILL, signal.SIGTERM):
        for name in COPIES:
            restart(platform, name, how)
    return since, (round(platform.provider_now() * 1000) // MINUTE_MS + 2) * MINUTE_MS


def test_either_copy_may_be_killed_or_restarted_without_a_hole_or_a_partial_minute(home: Path) -> None:
    with Platform(home, SETTINGS | {"PROVIDERS": "coinbase"}) as platform:
        expect_proven_by_ids(platform)


def expect_proven_by_ids(platform: Platform) -> None:
    """Restart copies, and find every minute whole, proven by ids, and equal to the venue's own trades."""
    until("both copies have all markets", lambda: sockets(platform) == 2, 90)
    rows = "select name from ingestion_producer where role = 'producer-live-coinbase' and retired_at is null order by 1"
    assert platform.rows(rows) == [("producer-live-coinbase-1",), ("producer-live-coinbase-2",)]
    since, stop = restarted_one_after_the_other(platform)
    for market in MARKETS:
        body = until("all of it is proven", lambda market=market: proven(platform, market, since, stop), 120)
        assert {(part["state"], part.get("proof")) for part in body["coverage"]} == {("live", "ids")}, body["coverage"]
        theirs = traded(platform, market, since, stop)
        ours = {row[0]: row for row in body["candles"]}
        assert set(ours) == set(theirs) and len(ours) >= 3
        for at, made in theirs.items():
            prices = [Decimal(row[4]) for row in made]
            expected = (prices[0], max(prices), min(prices), prices[-1], sum(Decimal(row[5]) for row in made))
            assert tuple(map(Decimal, ours[at][1:6])) == expected, (market, at)
            assert ours[at][7] == len(made)
    limits = platform.provider.get("/control/venues").json()["coinbase"]["limits"]
    assert not [one for one in limits if one["exceeded"]]
