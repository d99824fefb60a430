"""Has the providers' lists of pairs read if one was not read within a day, above all at the first start."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from actor_runtime.reset_policy import backoff
from datastore.reference import pairs

FIRST_RETRY_DELAY_S = 8.0  # then twice as long each time
MAX_DELAY_S = 3600.0


@dataclass
class PairListRefresh:
    """Asks for the list, then asks again less and less often until the list is there."""

    enqueue: Callable[[], None]  # has the worker read the list; may raise PlatformFault
    steady: Callable[[], float] = time.monotonic
    _attempts: int = 0
    _not_before: float = float("-inf")

    def refresh_if_due(self) -> None:
        """Have the list read if that is due. Raises what enqueue() raises, and tries again at the next call then."""
        now = self.steady()
        if now < self._not_before:
            return
        if not pairs.providers_due(settings.PROVIDERS):
            self._attempts, self._not_before = 0, now + MAX_DELAY_S
            return
        self.enqueue()
        self._attempts += 1
        delay = FIRST_RETRY_DELAY_S * backoff(self._attempts, MAX_DELAY_S / FIRST_RETRY_DELAY_S)
        self._not_before = now + delay
