"""A recording of real trades from its first to its last minute, at twenty times the speed."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos.collect import evidence_on, made_of_file, span_since
from tests.support.chaos.verify import MINUTE, Evidence, Span, faults, holes, live_buckets
from tests.support.e2e.platform import Platform
from tests.support.polling import until

REPLAY = os.environ.get("CANDLEKEEP_REPLAY", "")
pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(
        not REPLAY, reason="set CANDLEKEEP_REPLAY to a CSV of recorded trades (see simulator/replay.py)"
    ),
]
SPEED = 20
MARKET = "kraken:XBT-USDT"
ALL = Span(0, 2**62)


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """Run Candlekeep on the recording."""
    arguments = f"--speed {SPEED} --replay {Path(REPLAY).absolute()} --replay-market {MARKET} --replay-lead 200"
    env = {"SIMULATOR_ARGS": arguments, "STALE_AFTER": str(90 * SPEED), "MARKETS": f"{MARKET},coinbase:ETH-USD"}
    with Platform(home, env) as running:
        yield running


def minutes_of_file() -> int:
    """Return how many minutes the recording lasts."""
    with Path(REPLAY).open() as lines:
        times = [int(row["time_ns"]) // 60_000_000_000 for row in csv.DictReader(lines)]
    return max(times) - min(times) + 1


def test_every_minute_of_a_recording_comes_out_as_computed_from_its_file(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes, began = minutes_of_file(), time.monotonic()
    first = first_minute(platform)
    until("its end", lambda: watermark(platform) >= first + minutes * MINUTE, minutes * 60 / SPEED + 120)
    span = span_since(platform, MARKET, first)
    evidence = evidence_on(platform, MARKET, span, made_of_file(Path(REPLAY), platform.home, span), SPEED)
    live = set(live_buckets(evidence))
    with capsys.disabled():
        print(report(evidence, live, time.monotonic() - began))
    assert faults(evidence) == []
    assert holes(evidence) == []
    assert len(live) >= minutes


def report(evidence: Evidence, live: set[int], seconds: float) -> str:
    """Write the figures of a run."""
    quiet = len(live) - len(evidence.candles)
    return (
        f"\n{len(evidence.made)} recorded trades, {len(evidence.stored)} stored; {len(live)} live minutes, {quiet} of"
        f" them quiet, {len(evidence.candles)} candles equal to the file's; {seconds:.0f} s"
    )


def first_minute(platform: Platform) -> int:
    """Return the minute in which the recording begins, as the simulator's home folder says."""
    earliest = min(trade.ts for trade in made_of_file(Path(REPLAY), platform.home, ALL))
    return earliest // MINUTE * MINUTE


def watermark(platform: Platform) -> int:
    """Return up to where the market is known, in microseconds; 0: nowhere yet."""
    return (platform.candles(MARKET, limit=1)["watermark"] or 0) * 1000
