"""Asks for trades as soon as the ids around them show that they are missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from datastore.backfill.trade_fill import request_fills
from datastore.ingest.live_write import MarketChange

LOOK_EVERY_S = 1.0


class MissingTrades:
    """Looks for missing ids of the markets that changed, once a second: the gap scan would find them later."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """Look at nothing yet."""
        self._steady, self._due_at = steady, 0.0
        self._changed: set[int] = set()

    def look(self, changes: Sequence[MarketChange]) -> None:
        """Take what a batch changed, and request what is missing if that is due."""
        self._changed.update(change.market_id for change in changes)
        now = self._steady()
        if now < self._due_at or not self._changed:
            return
        self._due_at = now + LOOK_EVERY_S
        changed, self._changed = self._changed, set()
        request_fills(changed)
