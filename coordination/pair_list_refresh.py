"""The provider's list of pairs is asked for where none was taken within a day, at the first start above all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from actor_runtime.reset_policy import backoff
from datastore.reference import pairs

LONGEST_WAIT = 3600.0
PATIENCE = 8  # times 1 s, 2 s, 4 s …: what an answer may take before it is asked for again


@dataclass
class PairWatch:
    """Asks once, then less and less often until the list is there."""

    ask: Callable[[], None]  # tells the worker; may raise PlatformFault
    steady: Callable[[], float] = time.monotonic
    _asked: int = 0
    _due: float = float("-inf")

    def look(self) -> None:
        """Have the list refreshed if it is due; raises what `ask` raises, and asks again at the next look then."""
        now = self.steady()
        if now < self._due:
            return
        if not pairs.is_due():
            self._asked, self._due = 0, now + LONGEST_WAIT
            return
        self.ask()
        self._asked += 1
        self._due = now + PATIENCE * backoff(self._asked, LONGEST_WAIT / PATIENCE)
