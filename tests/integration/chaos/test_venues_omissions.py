"""Kraken's socket leaves out one trade in six: each minute is exact within 90 s of its end.

VENUE_OMISSIONS_MINUTES says for how many minutes (2).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.chaos.venues import MINUTE_MS, Followed, digest, followed, sent_ids
from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
MINUTES = int(os.environ.get("VENUE_OMISSIONS_MINUTES", "2"))
RATE, SHARE = 5, 0.17
MARKETS = ("kraken:BTC-USD", "kraken:ETH-EUR")
EXACT_WITHIN_S = 90  # of its end
OMITTED = "select count(*) from tick t join market m on m.id = t.market_id where m.symbol = %s"


def test_every_minute_is_exact_although_the_socket_leaves_trades_out(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {"PROVIDERS": "kraken", "SIMULATOR_ARGS": f"--rate {RATE}", "MARKETS": ",".join(MARKETS)}
    with Platform(home, env) as platform:
        platform.control("venues/kraken/omit", seconds=86_000, share=SHARE)
        markets = [followed(platform, market, 240) for market in MARKETS]
        begin = (round(platform.provider_now() * 1000) // MINUTE_MS + 1) * MINUTE_MS
        took: dict[str, list[float]] = {market: [] for market in MARKETS}
        for minute in range(begin, begin + MINUTES * MINUTE_MS, MINUTE_MS):
            stop = minute + MINUTE_MS
            until("the minute is over", lambda end=stop: platform.provider_now() * 1000 > end, 180)
            for of in markets:
                one = Followed(platform, of.market, minute)
                until(
                    lambda one=one, end=stop: f"{one.market} exact: {one.unproven(end)}",
                    lambda one=one, end=stop: not one.unproven(end),
                    EXACT_WITHIN_S,
                    longest_pause=PATIENT_S,
                )
                took[of.market].append(platform.provider_now() - stop / 1000)
                assert digest(one.served(stop)) == digest(one.true(stop)), of.market
        until("the minutes before, too", lambda: not any(of.unproven(begin) for of in markets), EXACT_WITHIN_S)
        sent = {market: len({row[0] for row in sent_ids(platform, market)}) for market in MARKETS}
        with capsys.disabled():
            print(f"\n{SHARE:.0%} left out at {RATE} trades/s for {MINUTES} minutes")
            for of in markets:
                ((stored,),) = platform.rows(OMITTED, of.market)
                lags = ", ".join(f"{lag:.1f}" for lag in took[of.market])
                print(f"  {of.market}: exact {lags} s after its end; {sent[of.market]} trades sent, {stored} stored")
        for of in markets:
            end = begin + MINUTES * MINUTE_MS
            assert digest(of.served(end)) == digest(of.true(end)), of.market
