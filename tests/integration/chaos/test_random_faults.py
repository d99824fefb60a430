"""Half an hour of random faults, several at a time: no answer ever claims what is false, all is whole in the end.

A trade that is lost on an open socket may be lacking from a proven candle until the market's next number shows it
(tests/support/chaos/judge.py); from then on that is false too.

RANDOM_FAULTS_MINUTES says how long (30), RANDOM_FAULTS_SEED repeats a run: it is printed. A fault of another kind is
one more row of Faults.kinds.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.chaos.judge import Losses
from tests.support.chaos.truth import LENGTHS_MS, Truth, claims_of
from tests.support.chaos.watcher import Watcher
from tests.support.e2e.platform import Platform
from tests.support.polling import until
from tests.support.simulator import Simulator, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
MINUTES = float(os.environ.get("RANDOM_FAULTS_MINUTES", "30"))
SEED = int(os.environ.get("RANDOM_FAULTS_SEED") or random.SystemRandom().randrange(10**6))
SPEED, RATE = 5, 2
# Numbered; without numbers; made-up ids and whole seconds.
MARKETS = ("coinbase:BTC-USD", "kraken:BTC-EUR", "bitfinex:ETH-USD")
NUMBERED = MARKETS[0]
QUESTIONS = [(market, timeframe) for market in MARKETS for timeframe in ("1m", "5m")]
PAUSE_S = (2.0, 10.0)  # between two faults
FAULT_S = (10.0, 120.0)  # of the simulator's time
# So long that the socket is given up. A shorter silence takes trades that no later frame betrays where a market has no
# numbers, which no TCP connection does; so does a loss.
SILENCE_S = 110
READ_ONLY_S = (2.0, 8.0)
START_S, REPAIR_S = 120, 600
FINAL_AFTER_S = 150  # of the simulator's time: then a minute is final, and its gap was seen by the scan


class Faults:
    """Asks for one random fault after the other, and counts them by kind."""

    def __init__(self, platform: Platform, simulator: Simulator, draw: random.Random) -> None:
        self.platform, self.simulator, self.draw = platform, simulator, draw
        self.injected: Counter[str] = Counter()
        self.told: list[str] = []
        self.silent_until = 0.0  # a reset would end a silence before it is one that can be seen
        self.kinds: dict[str, Callable[[], object]] = {
            "wrong stamps": self._stamps,
            "silent loss": lambda: self._ask("lose", market=NUMBERED, count=draw.randint(1, 5)),
            "flat rows": lambda: self._spoil("flat"),
            "broken rows": lambda: self._spoil(draw.choice(["rows", "times", "texts", "shape", "text"])),
            "refused history": lambda: self._spoil(draw.choice(["missing", "warning"])),
            "refused calls": lambda: self._ask("ratelimit", seconds=self._seconds()),
            "failing calls": lambda: self._ask("error", seconds=self._seconds(), status=draw.choice([500, 502, 503])),
            "refused market": self._unlist,
            "equal ids": lambda: self._ask("ids", market=self._market(), seconds=self._seconds()),
            "cut sockets": self._cut,
            "silent sockets": self._silence,
            "garbage": self._garbage,
            "read-only database": self._read_only,
        }

    def inject(self) -> None:
        """Ask for one, and wait a little."""
        kind = self.draw.choice(list(self.kinds))
        self.injected[kind] += 1
        self.kinds[kind]()
        time.sleep(self.draw.uniform(*PAUSE_S))

    def _ask(self, fault: str, **fields: object) -> None:
        self.told.append(f"{self.simulator.now():.1f} {fault} {fields}")
        self.simulator.fault(fault, **fields)

    def _market(self) -> str:
        return self.draw.choice(MARKETS)

    def _seconds(self) -> float:
        return self.draw.uniform(*FAULT_S)

    def _stamps(self) -> None:
        self._ask("stamps", seconds=self._seconds(), offset=self.draw.choice([-1800, -60, -7, 7, 60, 1800]))

    def _spoil(self, kind: str) -> None:
        self._ask("spoil", seconds=self._seconds(), kind=kind)

    def _silence(self) -> None:
        self._ask("silent", seconds=SILENCE_S)
        self.silent_until = self.simulator.now() + SILENCE_S

    def _cut(self) -> None:
        self._ask("drop", seconds=self._seconds() / 2, replay=self.draw.choice([0, 20, 20, "bridge"]))

    def _unlist(self) -> None:
        self._ask("unlist", market=self._market(), seconds=self._seconds())
        self._ask("drop", seconds=5)  # it is refused when it is asked for

    def _garbage(self) -> None:
        self._ask("garbage", kind=self.draw.choice(["text", "array", "price", "market"]), market=self._market())

    def _read_only(self) -> None:
        self.told.append(f"{self.simulator.now():.1f} read-only database")
        self._turn("on")
        time.sleep(self.draw.uniform(*READ_ONLY_S))
        self._turn("off")

    def _turn(self, read_only: str) -> None:
        with psycopg.connect(self.platform.addresses["database_url"], autocommit=True) as link:
            name = psycopg.sql.Identifier(link.info.dbname)
            link.execute("set default_transaction_read_only = off")
            link.execute(
                psycopg.sql.SQL("alter database {} set default_transaction_read_only = {}").format(
                    name, psycopg.sql.SQL(read_only)
                )
            )
            link.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = %s",
                [link.info.dbname],
            )


def lacking(platform: Platform, start: float, stop: float) -> list[str]:
    """Return what is not whole between two minutes (seconds)."""
    found = []
    for market, timeframe in QUESTIONS:
        length = LENGTHS_MS[timeframe]
        first, last = (int(at * 1000) // length * length for at in (start, stop))
        if first == last:
            continue
        answer = platform.api("candles", market=market, timeframe=timeframe, **{"from": first, "to": last}, wait=0)
        if answer.status_code != 200:
            return [f"{market}: {answer.status_code} {answer.text[:100]}"]
        body = answer.json()
        if not body["complete"] or body["complete_until"] < last:
            parts = [(part["from"], part["state"], part["reason"], part["repair"]) for part in body["coverage"]]
            found.append(f"{market} {timeframe}: {[part for part in parts if part[2]]}")
    return found


def false_in_the_end(platform: Platform, truth: Truth, start: float, stop: float) -> list[str]:
    """Return the candles between two minutes that are not the simulator's, or not proven."""
    found: list[str] = []
    for market, timeframe in QUESTIONS:
        length = LENGTHS_MS[timeframe]
        first, last = (int(at * 1000) // length * length for at in (start, stop))
        body = platform.candles(market, timeframe, **{"from": first, "to": last}, wait=0, limit=5000)
        claims = list(claims_of(market, timeframe, body))
        found += [why for claim in claims if (why := truth.denies(claim))]
        if len(claims) != (last - first) // length:
            found.append(f"{market} {timeframe}: {len(claims)} proven buckets of {(last - first) // length}")
    return found


def test_random_faults_make_no_answer_false_and_leave_every_candle_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(SEED)
    options = ("--markets", ",".join(MARKETS), "--rate", str(RATE), "--speed", str(SPEED))
    with running(tmp_path / "simulator", *options) as simulator:
        settings = {
            "MARKETS": ",".join(MARKETS),
            "STALE_AFTER": str(90 * SPEED),
            "CRYPTOCOMPARE_REST_URL": simulator.rest_url,
            "CRYPTOCOMPARE_WS_URL": simulator.ws_url,
        }
        with Platform(tmp_path / "home", settings) as platform:
            first = simulator.now()
            until("live minutes", lambda: not lacking(platform, first + 60, first + 180), START_S)
            watcher = Watcher(platform, simulator.now, QUESTIONS, None, True, tmp_path / "answers.jsonl")
            faults, truth = Faults(platform, simulator, draw), Truth(RATE)
            with watcher.watching():
                deadline = time.monotonic() + MINUTES * 60
                while time.monotonic() < deadline:
                    faults.inject()
                simulator.wait_until(faults.silent_until, SILENCE_S)
                simulator.fault("reset")
                simulator.fault("bridge", replay=20)
                last = simulator.now()
                until("the faults are over", lambda: simulator.now() > last + FINAL_AFTER_S, FINAL_AFTER_S)
                left: list[str] = []

                def whole() -> bool:
                    left[:] = lacking(platform, first + 60, last)
                    return not left

                until(lambda: f"whole again: {left}", whole, REPAIR_S)
            claims, losses = watcher.claims, Losses(simulator.sent())
            false = claims.false(truth, losses)
            (tmp_path / "faults.txt").write_text("\n".join(faults.told))
            with capsys.disabled():
                answered = f"{watcher.answers} answers {dict(watcher.statuses)}, {len(claims.made)} claims"
                print(f"\nseed {SEED}: {answered}, {sum(faults.injected.values())} faults {dict(faults.injected)}")
                excused = len(claims.false(truth)) - len(false)
                print(f"false: {false[:3]} {watcher.faults[:3]}; {excused} made before a loss could be known")
            assert false == []
            assert watcher.faults == []
            assert false_in_the_end(platform, truth, first + 60, last) == []
