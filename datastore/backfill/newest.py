"""What is asked for without anybody asking: the newest candles of every market."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from datastore.backfill.fetch_queue import Purpose, enqueue
from datastore.backfill.quota import Spend
from datastore.models import FetchRequest, Market
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.timeframe import BASE

NEWEST = 1500  # candles: more than the first chart of any timeframe shows


def request_newest(
    markets: Iterable[Market], resolutions: Sequence[int] = tuple(BASE), spend: Spend | None = None
) -> list[FetchRequest]:
    """Ask for what is missing of the newest 1,500 candles; return the requests that will bring it.

    resolutions: seconds, all minutes before all hours before all days. What is there or on its way is not asked again.
    What `spend` raises for the pages of a new request leaves the later ones unasked.
    """
    now, wanted = provider_now(), list(markets)
    return [
        request
        for resolution in resolutions
        for market in wanted
        for request in enqueue(
            market, resolution, now - NEWEST * timedelta(seconds=resolution), now, Purpose.SCHEDULE, spend
        )
    ]
