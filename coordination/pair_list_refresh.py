"""The provider's list of pairs is asked for where none was taken within a day, at the first start above all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from actor_runtime.reset_policy import backoff
from datastore.reference import pairs

MAX_WAIT_S = 3600.0
PATIENCE = 8  # times 1 s, 2 s, 4 s …: what an answer may take before it is asked for again


@dataclass
class PairListRefresh:
    """Asks once, then less and less often until the list is there."""

    enqueue: Callable[[], None]  # tells the worker; may raise PlatformFault
    steady: Callable[[], float] = time.monotonic
    _attempts: int = 0
    _not_before: float = float("-inf")

    def refresh_if_due(self) -> None:
        """Have the list refreshed if it is due; raises what `ask` raises, and asks again at the next look then."""
        now = self.steady()
        if now < self._not_before:
            return
        if not pairs.is_due():
            self._attempts, self._not_before = 0, now + MAX_WAIT_S
            return
        self.enqueue()
        self._attempts += 1
        self._not_before = now + PATIENCE * backoff(self._attempts, MAX_WAIT_S / PATIENCE)
