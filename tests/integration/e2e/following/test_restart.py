"""Stopped for minutes and started again: the hole is named with its reason, then repaired without a hand."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.e2e.followed import BTC
from tests.support.e2e.platform import Platform
from tests.support.e2e.series import expect_contiguous, expect_same, provided
from tests.support.polling import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
MINUTE = 60_000  # milliseconds


def first_hole(platform: Platform, since: int) -> dict[str, Any] | None:
    """Return the first line of the certificate since a time (ms) that names a hole."""
    body = platform.candles(BTC, **{"from": since, "wait": 0})
    return next((part for part in body["coverage"] if part["state"] in ("gap", "partial")), None)


def repaired(platform: Platform, since: int, until_ms: int) -> dict[str, Any] | None:
    """Return the answer once all up to a time is proven."""
    body = platform.candles(BTC, **{"from": since, "wait": 0})
    return body if body["complete"] and body["complete_until"] >= until_ms else None


def test_what_a_stop_left_out_is_a_hole_with_a_reason_and_is_repaired_without_a_hand(platform: Platform) -> None:
    begun = round(platform.provider_now() * 1000)
    # Twenty times as fast as ours, the provider's clock is ahead of what the platform knows of it so far.
    until("the feed is there", lambda: (platform.candles(BTC, limit=1)["watermark"] or 0) > begun, 60)
    until("live minutes", lambda: repaired(platform, begun, begun + 2 * MINUTE), 60)
    stopped, since_then = round(platform.provider_now() * 1000), time.monotonic()
    with platform.stopped():
        # Stopping has taken some of the 160 s of the provider's already.
        until("they are over", lambda: time.monotonic() - since_then > 8, 20)
    since = stopped // MINUTE * MINUTE
    back = round(platform.provider_now() * 1000)
    assert back - stopped > 150_000
    hole = until("the hole", lambda: first_hole(platform, since), 30)
    assert hole["reason"]
    body = until("all of it", lambda: repaired(platform, since, back + 2 * MINUTE), 60)
    expect_contiguous(body)
    states = [part["state"] for part in body["coverage"]]
    assert (states[0], "live" in states) == ("provider", True)
    rows = [row for row in body["candles"] if row[9] and row[0] < back]
    expected = provided(platform, BTC, "1m", rows[0][0] // 1000, rows[-1][0] // 1000)
    assert len(rows) >= 4
    for row in rows:
        expect_same(row, expected[row[0] // 1000])
