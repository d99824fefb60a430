"""Kills at random while two venues drop, repeat and swap trades: nothing false is claimed, and all is whole in the end.

VENUE_KILLS says how many (20), VENUE_KILLS_SEED repeats a run: it is printed.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.chaos.truth import Truth
from tests.support.chaos.venues import MINUTE_MS, LiveClaims, digest, followed
from tests.support.chaos.watcher import Watcher
from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
KILLS = int(os.environ.get("VENUE_KILLS", "20"))
SEED = int(os.environ.get("VENUE_KILLS_SEED") or random.SystemRandom().randrange(10**6))
RATE, DROPPED = 50, 0.01
VENUES = ("coinbase", "binance")
MARKETS = ("coinbase:BTC-USD", "binance:BTC-USDT")
VICTIMS = (
    "producer-coinbase",
    "producer-binance",
    "worker",
    "coordinator",
    "fixed-consumer",
    "candle-consumer",
    "postgres",
)
PAUSE_S = (1.0, 6.0)
FOREVER_S = 86_000
RECOVERY_S, REPAIR_S = 90, 300


def confuse(platform: Platform, draw: random.Random) -> None:
    """Let each venue send some trades twice, and some in another order."""
    for name, market in zip(VENUES, MARKETS, strict=True):
        platform.control(f"venues/{name}/repeat", market=market, count=draw.randint(1, 20))
        platform.control(f"venues/{name}/reorder", market=market, count=draw.randint(2, 10))


def test_kills_and_silent_losses_make_no_answer_false_and_leave_every_candle_exact(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, killed = random.Random(SEED), Counter[str]()
    env = {"PROVIDERS": ",".join(VENUES), "SIMULATOR_ARGS": f"--rate {RATE}", "MARKETS": ",".join(MARKETS)}
    with Platform(home, env) as platform:
        markets = [followed(platform, market) for market in MARKETS]
        questions = [(market, "1m") for market in MARKETS]
        claims = LiveClaims()
        watcher = Watcher(
            platform, platform.provider_now, questions, None, True, tmp_path / "answers.jsonl", claims=claims
        )
        for name in VENUES:
            platform.control(f"venues/{name}/omit", seconds=FOREVER_S, share=DROPPED)
        began = time.monotonic()
        with watcher.watching():
            for _ in range(KILLS):
                confuse(platform, draw)
                victim = draw.choice(VICTIMS)
                dead = platform.kill(victim)
                killed[victim] += 1
                until(f"{victim} again", lambda name=victim, pid=dead: platform.back(name, pid), RECOVERY_S)
                time.sleep(draw.uniform(*PAUSE_S))
            took = time.monotonic() - began
            stop = (round(platform.provider_now() * 1000) // MINUTE_MS + 1) * MINUTE_MS
            until("the minutes are over", lambda: platform.provider_now() * 1000 > stop, 90)
            over = time.monotonic()
            left: list[object] = []

            def whole() -> bool:
                left[:] = [(of.market, of.unproven(stop)[:3]) for of in markets if of.unproven(stop)]
                return not left

            until(lambda: f"whole again: {left}", whole, REPAIR_S, longest_pause=PATIENT_S)
            repaired = time.monotonic() - over
        false = claims.false(Truth(RATE))
        filled = platform.rows(
            "select state, count(*), sum(last_id - first_id + 1)::bigint from fetch_request"
            " where resolution = 0 and last_id is not null group by 1"
        )
        with capsys.disabled():
            print(f"\nseed {SEED}: {KILLS} kills in {took:.0f} s {dict(killed)}; fills {filled}")
            answered = f"{watcher.answers} answers {dict(watcher.statuses)}, {len(claims.made)} live claims"
            print(
                f"  {answered}; false: {false[:3]} {watcher.faults[:3]}; whole {repaired:.1f} s after the last minute"
            )
            for of in markets:
                print(f"  {of.market}: {(stop - of.start) // MINUTE_MS} minutes, sha256 {digest(of.served(stop))[:16]}")
        assert false == []
        assert watcher.faults == []
        for of in markets:
            assert digest(of.served(stop)) == digest(of.true(stop)), of.market
