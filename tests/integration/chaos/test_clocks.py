"""All processes, PostgreSQL and Valkey under one clock that is set, while the provider keeps the true time.

CLOCK_TRIALS names the steps in hours, by default all: "1,-1,26,-26". The shortest run is CLOCK_TRIALS=1.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.chaos.truth import Truth
from tests.support.chaos.watcher import Watcher
from tests.support.clock import SteppedClock, stepped_clock
from tests.support.e2e.platform import Platform
from tests.support.polling import until
from tests.support.simulator import Simulator, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
HOURS = [float(part) for part in os.environ.get("CLOCK_TRIALS", "1,-1,26,-26").split(",")]
MARKET, RATE = "coinbase:BTC-USD", 2
CUT_S = 15  # for which the socket is refused
REPAIR_S = 240  # within which the minutes of a cut are whole again: a minute until they are final, then the gap scan
CACHE_AGE_S = 70


def whole(platform: Platform, simulator: Simulator, start: float, stop: float) -> bool:
    """Return whether every minute between is proven and equals the provider's own."""
    first, last = int(start // 60 * 60), int(stop // 60 * 60)
    if simulator.now() < last + CACHE_AGE_S:
        return False  # the provider's own answer is not final yet
    body = platform.candles(MARKET, **{"from": first * 1000, "to": last * 1000, "wait": 0})
    if not (body["complete"] and body["watermark"] >= last * 1000):
        return False
    names = body["columns"]
    ours = {
        row[0] // 1000: dict(zip(names, row, strict=True)) for row in body["candles"] if row[names.index("trades")] != 0
    }
    theirs = platform.provider_candles(MARKET, last - 60, (last - first) // 60 - 1)
    for at in range(first, last, 60):
        assert float(ours[at]["high"]) == pytest.approx(float(theirs[at]["high"])), at
        assert float(ours[at]["volume"]) == pytest.approx(float(theirs[at]["volumefrom"])), at
    return True


def cut_and_repair(platform: Platform, simulator: Simulator) -> None:
    """Cut the socket; wait until the time around is whole again, which takes every kind of wait there is."""
    began = simulator.now()
    simulator.fault("drop", seconds=CUT_S)
    minutes = (began // 60 * 60 - 60, began // 60 * 60 + 120)
    until("the cut is repaired", lambda: whole(platform, simulator, *minutes), REPAIR_S)


def settings_of(simulator: Simulator, clock: SteppedClock) -> dict[str, Any]:
    addresses = {"CRYPTOCOMPARE_REST_URL": simulator.rest_url, "CRYPTOCOMPARE_WS_URL": simulator.ws_url}
    return {"MARKETS": MARKET, **addresses, **clock.environment}


@pytest.mark.parametrize("hours", HOURS)
def test_a_clock_that_is_set_makes_no_answer_false_and_delays_nothing(
    tmp_path: Path, hours: float, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with (
        stepped_clock() as clock,
        running(tmp_path, "--markets", MARKET, "--rate", str(RATE)) as simulator,
    ):
        clock.step(hours=hours)  # wrong at the start
        with Platform(tmp_path / "home", settings_of(simulator, clock)) as platform:
            first = simulator.now()
            until(
                "live minutes", lambda: (platform.candles(MARKET, limit=1)["watermark"] or 0) > (first + 70) * 1000, 200
            )
            watcher = Watcher(platform, simulator.now, [(MARKET, "1m")])
            with watcher.watching():
                for step in (-hours, -hours, hours):  # corrected, then wrong the other way, and corrected again
                    clock.step(hours=step)
                    cut_and_repair(platform, simulator)
                assert clock.offset.total_seconds() == 0
            with capsys.disabled():
                took = time.monotonic() - began
                print(f"\n{hours:+g} h: {watcher.answers} answers in {took:.0f} s, {watcher.faults[:5]}")
            assert watcher.faults == []
            assert watcher.claims.false(Truth(RATE)) == []
            assert whole(platform, simulator, first + 120, simulator.now() - 180)
