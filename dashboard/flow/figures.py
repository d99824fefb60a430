"""What flows through the platform and what waits, read for a picture at most once a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import RedisError

from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.gauges import unread_dynamic_records
from config.monitoring.health import failing_lately
from config.monitoring.metrics import UNAVAILABLE_ERRORS
from dashboard.lags import fixed_lags
from dashboard.rates import DYNAMIC, rates
from datastore import metrics
from datastore.backfill import fetch_queue
from datastore.quality.freshness import LIVE, proven_markets
from datastore.sse.follower_counts import followers_by_process
from datastore.streams import lifecycle


@dataclass(frozen=True, slots=True)
class Figures:
    """What flows and what waits, read once for a picture. None, or a name that is missing: not known."""

    rates: Mapping[str, float]
    lags: Mapping[str, int]
    followers: int | None
    requests: int  # that wait for a fetch
    fetches: int  # under way
    streams: int
    feeds: tuple[int, int]  # live, of all that are followed
    failing: Mapping[str, str]  # reasons by server


def figures() -> Figures:
    """Return the newest figures, read at most once a second. Raises DatabaseError."""
    return _known.get()


def _look() -> Figures:
    markets = proven_markets()
    waiting = metrics.requests_by_state()
    fetches = fetch_queue.count_by_state()
    failing = failing_lately()
    lags: dict[str, int] = {}
    if "stream" not in failing:
        lags = {**fixed_lags(), **_or(lambda: {DYNAMIC: unread_dynamic_records()}, {})}
    return Figures(
        rates=_or(rates, {}),
        lags=lags,
        followers=None if "cache" in failing else _or(lambda: sum(followers_by_process().values()), None),
        requests=waiting["waiting_for_data"],
        fetches=sum(fetches[state] for state in ("queued", "fetching", "published")),
        streams=sum(count for state, count in lifecycle.count_by_state().items() if state in ("requested", "live")),
        feeds=(sum(market.state == LIVE for market in markets), len(markets)),
        failing=failing,
    )


_known = CachedAnswer(_look)
T = TypeVar("T")


def _or(read: Callable[[], T], otherwise: T) -> T:
    """Return what read() returns, `otherwise` while its server is away: the picture then shows all else."""
    try:
        return read()
    except (*UNAVAILABLE_ERRORS, RedisError):
        return otherwise
