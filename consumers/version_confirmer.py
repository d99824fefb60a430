"""How often the cached versions of markets are confirmed: each second while answers are asked for, else to repair them.

Nothing else keeps readers trusting the versions of idle markets. The first reader after a pause finds one that is not
confirmed, and looks at the market's row itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from datastore.ingest import market_cache

LOOK_EVERY_S = 0.5  # while they are; readers trust a cached version for two seconds after it was confirmed
IDLE_LOOK_EVERY_S = 1.0
REPAIR_EVERY_S = 5.0  # while nobody asks, for what a writer left that died


class VersionConfirmer:
    """Confirms in turn with the other processes: who comes first does it for all."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """Confirm at the first look."""
        self._steady = steady
        self._look_at = self._repair_at = float("-inf")

    def look(self) -> None:
        """Confirm the versions if that is due; a cache that is away is asked again at the next look."""
        now = self._steady()
        if now < self._look_at:
            return
        self._look_at = now + IDLE_LOOK_EVERY_S
        with suppress(market_cache.CacheUnavailable):
            if market_cache.has_readers():
                self._look_at = now + LOOK_EVERY_S
                market_cache.confirm()
            elif now >= self._repair_at:
                market_cache.confirm(round(REPAIR_EVERY_S * 1000))
            else:
                return
            self._repair_at = now + REPAIR_EVERY_S
