"""kill -9 of every process, again and again, at 100 trades a second and market; then the simulator's log judges."""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.support.chaos.known_markets import MARKETS, RATE, RECOVERY, evidence_since_start, known_at, settings_of
from tests.support.chaos.verify import MINUTE, SECOND, Evidence, faults, holes, live_buckets
from tests.support.e2e.platform import Platform
from tests.support.polling import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
ROUNDS = int(os.environ.get("ROUNDS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
BREAKING = ("simulator", "producer")  # their kills break the socket
OTHERS = ("fixed-consumer", "web", "postgres", "valkey")
BLOCK = 4  # rounds whose breaks come together, so that whole minutes see the other kills only
HASTE = 0.25  # of the kills come while the one before is still being recovered from
ACTORS = {"producer": "producer-live-1", "fixed-consumer": "fixed-tick-1"}


def test_kills_of_any_process_lose_nothing_and_leave_no_hole_but_a_broken_sockets(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order, took = random.Random(SEED), defaultdict[str, list[float]](list)
    began = time.monotonic()
    with Platform(home, settings_of(RATE)) as platform:
        until("trades of every market", lambda: known_at(platform, time.time() - 20), RECOVERY)
        for name in schedule(order):
            strike(platform, name, order.random() < HASTE, took)
        # One more minute from end to end, so that there is a whole bucket that nothing touched.
        end = (time.time() // 60 + 2) * 60
        until("a last whole minute", lambda: known_at(platform, end), 130 + RECOVERY)
        evidence = [evidence_since_start(platform, market) for market in MARKETS]
        logged = transitions(platform)
        with capsys.disabled():
            print(report(evidence, took, logged, time.monotonic() - began))
        assert [fault for each in evidence for fault in faults(each)] == [], f"CHAOS_SEED={SEED}"
        expect_recovery_through_the_charts(logged, took)


def schedule(order: random.Random) -> Iterator[str]:
    """Yield whom to kill next: each process ROUNDS times."""
    for first in range(0, ROUNDS, BLOCK):
        rounds = min(BLOCK, ROUNDS - first)
        for processes in (BREAKING, OTHERS):
            yield from order.sample(processes * rounds, len(processes) * rounds)


def strike(platform: Platform, name: str, in_haste: bool, took: dict[str, list[float]]) -> None:
    """Kill a process; wait until it runs again and, unless in haste, until all is as before."""
    at, killed = time.time(), time.monotonic()
    dead = platform.kill(name)
    until(f"{name} again", lambda: platform.back(name, dead), RECOVERY)
    if not in_haste:
        until(f"life after {name}", lambda: platform.ready() and known_at(platform, at), RECOVERY)
        took[name].append(time.monotonic() - killed)


Logged = dict[tuple[str, str], int]


def transitions(platform: Platform) -> Logged:
    """Count what the log says of each actor: takeovers, failures, those that were abandoned, resets."""
    rows = platform.rows(
        "select name, case when event like '%%_FAILURE' then 'FAILURE' else event end, reason, sum(count)::int"
        "  from transition_log where minute is null group by 1, 2, 3"
    )
    found: Logged = defaultdict(int)
    for name, event, reason, count in rows:
        found[name, event] += count
        found[name, "ABANDONED"] += count if event == "FAILURE" and reason.startswith("abandoned in") else 0
    return found


def expect_recovery_through_the_charts(logged: Logged, took: dict[str, list[float]]) -> None:
    """Each kill of an actor that was waited for shows as a takeover, and every failure ended in a reset."""
    for process, actor in ACTORS.items():
        assert logged[actor, "TAKEOVER"] >= len(took[process])
        assert logged[actor, "FAILURE"] == logged[actor, "RESET"]
    # A kill often meets an actor in the middle of its cycle, but not at each of a few.
    assert ROUNDS < 10 or sum(logged[actor, "ABANDONED"] for actor in ACTORS.values()) > 0


def report(evidence: list[Evidence], took: dict[str, list[float]], logged: Logged, seconds: float) -> str:
    """Write the figures of a run."""
    lines = [f"\n{ROUNDS} rounds, {ROUNDS * 6} kills in {seconds:.0f} s, CHAOS_SEED={SEED}"]
    lines += [
        f"  {name:15} back after {median(times):4.1f} s, at most {max(times):4.1f} s" for name, times in took.items()
    ]
    for each in evidence:
        live, buckets = len(list(live_buckets(each))), (each.looked_at.stop - each.looked_at.start) // MINUTE
        dark = sum(span.stop - span.start for span in holes(each)) // SECOND
        lines.append(
            f"  {each.market:17} {len(each.made):7,} trades made, {len(each.stored):7,} stored;"
            f" {live} of {buckets} minutes live, {len(holes(each))} holes of {dark} s;"
            f" {len(each.log.sockets)} sockets, {len(each.live_spans)} spans"
        )
    for actor in ACTORS.values():
        counts = ", ".join(f"{logged[actor, e]} {e}" for e in ("TAKEOVER", "FAILURE", "ABANDONED", "RESET"))
        lines.append(f"  {actor:17} {counts}")
    return "\n".join(lines)
