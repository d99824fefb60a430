"""The data folder on a disk that is full for a while: all waits and says why, goes on by itself, and loses nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chaos.collect import evidence_on, made_by, span_since
from tests.support.chaos.verify import MINUTE, faults, live_buckets
from tests.support.e2e.live_minutes import BTC, SPEED, known_for, now, watermark
from tests.support.e2e.platform import Platform
from tests.support.full_disk import full, small_disk
from tests.support.polling import PATIENT_S, until
from tests.support.prepared_home import copy_home

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
DISK_MB = 420  # the platform needs 65 of them
RECOVERY_S = 90
REFUSED, AGAIN = "cannot be written: No space left on device", "can be written again"


@pytest.fixture
def platform(prepared_home: Path) -> Iterator[Platform]:
    """Run Candlekeep on a small disk; the provider's own log of what it sent, our evidence, is on another."""
    env = {"SIMULATOR_ARGS": f"--speed {SPEED}", "STALE_AFTER": str(90 * SPEED), "MARKETS": BTC}
    with tempfile.TemporaryDirectory(prefix="ck-run-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        provider = Path(folder) / "simulator"
        provider.mkdir()
        with small_disk(Path(folder) / "disk", DISK_MB) as disk:
            home = disk / "home"
            copy_home(prepared_home, home)
            (home / "simulator").symlink_to(provider)
            with Platform(home, env) as running:
                yield running


def stored_whole(platform: Platform, since: int, until_us: int) -> bool:
    """Return whether all from `since` on is proven, by the feed or by the provider, up to a time (microseconds)."""
    body = platform.candles(BTC, **{"from": since // 1000, "wait": 0})
    return bool(body["complete"] and body["complete_until"] * 1000 >= until_us)


def failing(platform: Platform) -> dict[str, str]:
    """Return what /health/ready says is failing, and why."""
    return dict(platform.http.get("/health/ready").json().get("failing", {}))


def lasting(platform: Platform, seconds: float) -> None:
    """Keep what is going on for so long; fail at once if the supervisor ends."""
    end = time.monotonic() + seconds
    until("the time is over", lambda: platform.runs() and time.monotonic() > end, seconds + 30)


def expect_healed_after_a_full_disk(platform: Platform, seconds: float) -> None:
    """Fill the disk for so long; everything must say so, go on by itself, and agree with the simulator's trades."""
    began = now(platform)
    known_for(platform, 3, began)
    lines, folder, children = len(platform.lines), platform.home.parent, platform.children()
    with full(folder):
        until("it is said", lambda: any(REFUSED in line for line in platform.lines[lines:]), 60)
        until(
            "not ready, for the disk",
            lambda: "disk" in platform.http.get("/health/ready").json().get("failing", {}),
            60,
        )
        told = platform.manage("status")
        assert "No space left on device" in told.stdout + told.stderr
        lasting(platform, seconds)
    until("ready again", lambda: platform.runs() and platform.ready(), RECOVERY_S)
    until("all processes run", lambda: platform.children() == children, RECOVERY_S)
    back = now(platform)
    until("the feed goes on", lambda: watermark(platform) >= back + 4 * MINUTE, RECOVERY_S, longest_pause=PATIENT_S)
    until("the hole is filled", lambda: stored_whole(platform, began, back), RECOVERY_S, longest_pause=PATIENT_S)

    said = [line for line in platform.lines[lines:] if line.startswith(str(platform.home))]
    assert [REFUSED in line or AGAIN in line for line in said] == [True, True], said
    assert not [line for line in platform.lines[lines:] if "Logging error" in line or "Traceback" in line]
    span = span_since(platform, BTC, began)
    evidence = evidence_on(platform, BTC, span, made_by(BTC, span, None), SPEED)
    assert faults(evidence) == [] and live_buckets(evidence)


def test_all_goes_on_by_itself_after_a_disk_that_was_full_and_no_trade_is_lost(platform: Platform) -> None:
    expect_healed_after_a_full_disk(platform, 8)


@pytest.mark.chaos
def test_two_minutes_of_a_full_disk_end_like_seconds_of_it(platform: Platform) -> None:
    expect_healed_after_a_full_disk(platform, 120)
