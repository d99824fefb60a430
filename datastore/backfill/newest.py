"""The newest candles of every market, requested before any client asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from datastore.backfill.fetch_queue import Purpose, enqueue
from datastore.backfill.quota import Spend
from datastore.models import FetchRequest, Market
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.timeframe import BASE

NEWEST_CANDLES = 1500  # candles: more than the first chart of any timeframe shows


def request_newest(
    markets: Iterable[Market], resolutions: Sequence[int] = tuple(BASE), spend: Spend | None = None
) -> list[FetchRequest]:
    """Request what is missing of the newest 1,500 candles; return the requests that will bring it.

    resolutions: seconds; all minutes come before all hours, all hours before all days. What is stored or under way is
    not requested again. If `spend` raises for the pages of a new request, the later ones are not made.
    """
    all_markets = list(markets)
    times = {name: provider_now(name) for name in {market.provider for market in all_markets}}
    requests = []
    for resolution in resolutions:
        length = NEWEST_CANDLES * timedelta(seconds=resolution)
        for market in all_markets:
            now = times[market.provider]
            requests += enqueue(market, resolution, now - length, now, Purpose.SCHEDULE, spend)
    return requests
