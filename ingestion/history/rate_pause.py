"""How long no call is made after the provider said that there were too many."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ingestion.history.provider_quota import ProviderQuota
from ingestion.providers.cryptocompare.call_windows import seconds_left
from ingestion.providers.cryptocompare.rest import RateLimited, RateTold, Trouble

log = structlog.get_logger(__name__)

MAX_UNCHECKED_PAUSE_S = 60.0  # for a longer one the provider is asked what its own count says


def pause_calls(quota: ProviderQuota, limited: RateLimited, ask_rate: Callable[[], RateTold | Trouble]) -> float:
    """Pause the calls of all processes; return the seconds.

    One wrong answer should not stop history for hours, so the provider's own count is believed where it says less. It
    is asked past the quota, which has no call left. Raises RedisError, and what ask_rate raises.
    """
    seconds = limited.retry_after
    if seconds > MAX_UNCHECKED_PAUSE_S and isinstance(told := ask_rate(), RateTold):
        used_up = [window for window, calls in told.left.items() if calls <= 0]
        seconds = min(seconds, max(seconds_left(used_up, told.at), MAX_UNCHECKED_PAUSE_S))
    quota.pause(seconds, limited.reason)
    log.warning("calls of the provider paused", reason=limited.reason, seconds=round(seconds))
    return seconds
