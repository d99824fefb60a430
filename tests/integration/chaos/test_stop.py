"""Five minutes without Candlekeep, at the provider's own speed: how soon the hole is repaired, minute by minute."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.e2e.platform import Platform
from tests.support.polling import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
MARKETS = ("coinbase:BTC-USD", "kraken:BTC-EUR")
STOPPED = 300.0  # seconds
MINUTE = 60
CACHE_AGE = 60  # seconds after its end at which a minute of the provider's is final
AFTER_READY, AFTER_FINAL = 10.0, 60.0  # seconds: what is promised
PROVEN = ("provider", "live", "merged")


def known_at(platform: Platform, at: float) -> bool:
    """Return whether both markets are known up to a time."""
    answers = [platform.candles(market, limit=1, wait=0)["watermark"] or 0 for market in MARKETS]
    return min(answers) >= at * 1000


def proven(platform: Platform, market: str, since: int) -> tuple[set[int], list[str | None]]:
    """Return the minutes since a time that are proven, and the reasons of the holes among the others."""
    parts = platform.candles(market, **{"from": since * 1000, "wait": 0})["coverage"]
    minutes = {
        at
        for part in parts
        if part["state"] in PROVEN
        for at in range(part["from"] // 1000, part["to"] // 1000, MINUTE)
    }
    return minutes, [part["reason"] for part in parts if part["state"] in ("gap", "partial")]


def test_the_hole_of_five_minutes_is_named_and_then_repaired_in_the_promised_time(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Platform(home, {"MARKETS": ",".join(MARKETS)}) as platform:
        begun = (time.time() // MINUTE + 2) * MINUTE
        until("a live minute", lambda: known_at(platform, begun), 150)
    stopped = time.time()
    until("five minutes are over", lambda: time.time() - stopped >= STOPPED, STOPPED + 30)
    first = int(stopped // MINUTE * MINUTE)
    with Platform(home, {"MARKETS": ",".join(MARKETS)}) as platform:
        ready = time.time()
        seen: dict[tuple[str, int], float] = {}
        reasons: set[str | None] = set()
        last = int(ready // MINUTE * MINUTE)  # in this minute the feed came back: only the provider has it whole

        def look() -> bool:
            for market in MARKETS:
                minutes, holes = proven(platform, market, first)
                reasons.update(holes)
                seen.update({(market, at): time.time() for at in minutes if (market, at) not in seen})
            return all((market, at) in seen for market in MARKETS for at in range(first, last + MINUTE, MINUTE))

        until("all of it", look, 4 * MINUTE)
        assert all(platform.candles(market, **{"from": first * 1000})["complete"] for market in MARKETS)
    final = {key: key[1] + MINUTE + CACHE_AGE for key in seen if key[1] <= last}
    old = [seen[key] - ready for key, at in final.items() if at <= ready]
    young = [seen[key] - at for key, at in final.items() if at > ready]
    with capsys.disabled():
        print(
            f"\nstopped for {ready - stopped:.0f} s; {len(old)} minutes older than the provider's cache: repaired"
            f" {max(old):.1f} s after ready at the latest; {len(young)} younger ones: at most"
            f" {max(young):.1f} s after they became final; reasons {sorted(filter(None, reasons))}"
        )
    assert reasons
    assert None not in reasons
    assert max(old) <= AFTER_READY
    assert max(young) <= AFTER_FINAL
