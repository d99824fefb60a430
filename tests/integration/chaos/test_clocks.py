"""All processes, PostgreSQL and Valkey under one clock that is set, while the provider keeps the true time.

CLOCK_TRIALS names the steps in hours, by default all: "1,-1,26,-26". The shortest run is CLOCK_TRIALS=1.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clock import SteppedClock, stepped_clock
from tests.support.e2e.platform import Platform
from tests.support.polling import until
from tests.support.simulator import Simulator, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
HOURS = [float(part) for part in os.environ.get("CLOCK_TRIALS", "1,-1,26,-26").split(",")]
MARKET, RATE = "coinbase:BTC-USD", 2
MINUTE_MS = 60_000
MAX_ERROR_S = 3.0  # of server_time: two requests lie between it and the truth
CUT_S = 15  # for which the socket is refused
REPAIR_S = 240  # within which the minutes of a cut are whole again: a minute until they are final, then the gap scan
CACHE_AGE_S = 70
PROVEN = ("live", "provider", "merged")


@dataclass
class Watcher:
    """Asks every second, and names what cannot be true."""

    platform: Platform
    simulator: Simulator
    faults: list[str] = field(default_factory=list)
    answers: int = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        # A client of its own: another thread uses the platform's.
        with httpx.Client(base_url=f"http://127.0.0.1:{self.platform.port}", timeout=30) as http:
            while not stop.wait(1):
                asked = {"market": MARKET, "timeframe": "1m", "limit": "10", "wait": "0"}
                before = self.simulator.now()
                try:
                    answer = http.get("/api/v1/candles", params=asked)
                except httpx.TransportError as exc:
                    self.faults.append(f"no answer: {exc}")
                    continue
                self.answers += 1
                self.faults += faults_of(answer, before, self.simulator.now())


def faults_of(answer: httpx.Response, before: float, after: float) -> list[str]:
    """Return what is false in an answer that was given between two true times (seconds)."""
    if answer.status_code not in (200, 202):
        return [f"status {answer.status_code}: {answer.text[:200]}"]
    body, now_ms = answer.json(), after * 1000
    found = []
    if not before - MAX_ERROR_S < body["server_time"] / 1000 < after + MAX_ERROR_S:
        found.append(f"server_time is {body['server_time'] / 1000 - after:.1f} s from the truth")
    if (body["watermark"] or 0) > now_ms:
        found.append(f"the watermark is {body['watermark'] / 1000 - after:.1f} s ahead")
    closed = body["columns"].index("closed")
    found += [
        f"{row[0]} is closed before it is over"
        for row in body["candles"]
        if row[closed] and row[0] + MINUTE_MS > now_ms
    ]
    proven = [part for part in body["coverage"] if part["state"] in PROVEN]
    return found + [f"{part['state']} until {part['to']}" for part in proven if part["to"] > now_ms]


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
            watcher = Watcher(platform, simulator)
            with watcher.watching():
                for step in (-hours, -hours, hours):  # corrected, then wrong the other way, and corrected again
                    clock.step(hours=step)
                    cut_and_repair(platform, simulator)
                assert clock.offset.total_seconds() == 0
            with capsys.disabled():
                took = time.monotonic() - began
                print(f"\n{hours:+g} h: {watcher.answers} answers in {took:.0f} s, {watcher.faults[:5]}")
            assert watcher.faults == []
            assert whole(platform, simulator, first + 120, simulator.now() - 180)
