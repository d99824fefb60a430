"""Two venues at 100 trades a second, cut for half a minute: the hole is named to the trade, and then there is none.

A second platform follows the same markets, played by a simulator of its own with the same seed, and is never cut: in
the end both serve the same candles.

VENUE_CUT_SECONDS says for how long (30), VENUE_CUT_RATE how many trades a second each market makes (100).
"""

from __future__ import annotations

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.chaos.venues import MINUTE_MS, Followed, digest, followed, sent_ids
from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until
from tests.support.prepared_home import copy_home

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
CUT_S = float(os.environ.get("VENUE_CUT_SECONDS", "30"))
RATE = int(os.environ.get("VENUE_CUT_RATE", "100"))
MARKETS = ("coinbase:BTC-USD", "binance:BTC-USDT")
PATIENCE_S = 90  # a busy machine's; what it took is printed


@dataclass
class Mended:
    """How a hole of a market was named and filled, in seconds since the first trade after it was sent."""

    named: tuple[int, int]
    named_after: float
    filled_after: float


def mended(of: Followed, cut_at: float) -> Mended:
    """Wait until the hole is named, and until it is filled."""
    market, platform = of.market, of.platform
    named = until(f"{market}: the hole is named", of.missing, CUT_S + PATIENCE_S)
    named_at = platform.provider_now()
    until(f"{market}: the hole is filled", lambda: not of.missing(), PATIENCE_S)
    filled_at = platform.provider_now()
    back_at = min(at for _, _, at in sent_ids(platform, market) if at / 1e9 > cut_at + CUT_S) / 1e9
    return Mended(named, named_at - back_at, filled_at - back_at)


def until_whole(of: Followed, stop: int) -> None:
    """Wait until ids prove all of a market up to a time."""
    until(
        lambda: f"{of.market} whole: {of.unproven(stop)}",
        lambda: not of.unproven(stop),
        PATIENCE_S,
        longest_pause=PATIENT_S,
    )


def test_a_cut_is_named_to_the_trade_and_leaves_the_candles_as_they_would_have_been(
    home: Path, prepared_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {"PROVIDERS": "coinbase,binance", "SIMULATOR_ARGS": f"--rate {RATE}", "MARKETS": ",".join(MARKETS)}
    copy_home(prepared_home, home.parent / "uncut")
    with Platform(home, env) as platform, Platform(home.parent / "uncut", env) as uncut:
        markets = [followed(platform, market) for market in MARKETS]
        beside = [followed(uncut, market) for market in MARKETS]
        cut_at = platform.provider_now()
        for name in ("coinbase", "binance"):
            platform.control(f"venues/{name}/cut", seconds=CUT_S)
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(lambda of: mended(of, cut_at), markets))

        for of, hole in zip(markets, found, strict=True):
            sent = sorted(sent_ids(platform, of.market))
            lost = [
                (before[1] + 1, after[0] - 1) for before, after in itertools.pairwise(sent) if after[0] > before[1] + 1
            ]
            assert hole.named in lost, "the ids that no socket was sent, and no others"

        stop = (round(platform.provider_now() * 1000) // MINUTE_MS + 1) * MINUTE_MS
        until("the minutes are over", lambda: platform.provider_now() * 1000 > stop, 90)
        over = time.monotonic()
        for of in (*markets, *beside):
            until_whole(of, stop)
        with capsys.disabled():
            print(f"\ncut for {CUT_S:g} s at {RATE} trades/s")
            for of, hole in zip(markets, found, strict=True):
                print(
                    f"  {of.market}: ids {hole.named[0]} to {hole.named[1]} named {hole.named_after:.1f} s after the "
                    f"first trade, filled after {hole.filled_after:.1f} s; {(stop - of.start) // MINUTE_MS} minutes, "
                    f"whole {time.monotonic() - over:.1f} s after the last; sha256 {digest(of.served(stop))[:16]}"
                )
        for of, other in zip(markets, beside, strict=True):
            assert digest(of.served(stop)) == digest(of.true(stop)), of.market
            since = max(of.start, other.start)
            cut, never_cut = replace(of, start=since).served(stop), replace(other, start=since).served(stop)
            assert min(cut) * 1_000_000 < cut_at * 1e9, f"{of.market}: the minutes compared hold the cut"
            assert digest(cut) == digest(never_cut), of.market
