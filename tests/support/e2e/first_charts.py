"""The first chart of every timeframe of the markets that are followed from the start, and the pages it was made of."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import Call, calls
from tests.support.e2e.series import whole
from tests.support.polling import until

SPEED = 10
BTC, WITHOUT_NUMBERS = "coinbase:BTC-USD", "kraken:BTC-EUR"
LIED_ABOUT = "coinbase:XRP-USD"  # may have been said to have been quiet when it was not
COUNTS = {"1m": 120, "5m": 120, "1h": 120, "1d": 120, "1w": 20}
GIVEN_UP = "select coalesce(sum(count), 0) from transition_log where reason like '%%the provider does not answer%%'"


@dataclass(frozen=True, slots=True)
class FirstPages:
    """The answered calls, and how many calls were given up meanwhile."""

    made: list[Call]
    given_up: int


def ask_for_first_charts(platform: Platform) -> FirstPages:
    """Ask until all are whole, and then once more."""
    for _ in range(2):
        for market in (BTC, WITHOUT_NUMBERS):
            for timeframe, count in COUNTS.items():
                until("a whole chart", lambda of=market, to=timeframe, n=count: whole(platform, of, to, n), 60)
    made = [call for market in (BTC, WITHOUT_NUMBERS) for call in calls(platform, market) if call.status == 200]
    return FirstPages(made, given_up(platform))


def given_up(platform: Platform) -> int:
    """Return how many calls were given up: on a busy machine the simulator may answer too late, and is asked again."""
    return int(platform.rows(GIVEN_UP)[0][0])
