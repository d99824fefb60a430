"""How long no call is made after the provider said that there were too many."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ingestion.history.provider_quota import MAX_BAN_S, MAX_PAUSE_S, ProviderQuota
from ingestion.providers.answers import CallsLeft, RateLimited, Trouble, why

log = structlog.get_logger(__name__)

MAX_UNCHECKED_PAUSE_S = 60.0  # for a longer one the provider is asked what its own count says


def pause_calls(quota: ProviderQuota, limited: RateLimited, ask_left: Callable[[], CallsLeft | Trouble]) -> float:
    """Pause the calls of all processes; return the seconds.

    One wrong answer should not stop history for hours, so the provider's own count is believed where it says less. It
    is asked past the quota, which has no call left; not during a ban, which every call makes longer. Raises RedisError,
    and what ask_left raises.
    """
    seconds = limited.retry_after
    if seconds > MAX_UNCHECKED_PAUSE_S and not limited.banned and isinstance(found := ask_left(), CallsLeft):
        seconds = min(seconds, max(found.wait, MAX_UNCHECKED_PAUSE_S))
    quota.pause(seconds, why(limited), MAX_BAN_S if limited.banned else MAX_PAUSE_S)
    log.warning("calls of the provider paused", reason=why(limited), seconds=round(seconds))
    return seconds
