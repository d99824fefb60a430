"""What a loop does while the database is away: keep everything in memory, and try to save it again and again."""

from __future__ import annotations

from abc import ABC, abstractmethod

import structlog
from django.db import connection

from actor_runtime.loop.clock import Clock
from actor_runtime.reset_policy import DATABASE_AWAY, backoff, reason_of

log = structlog.get_logger(__name__)

MAX_DATABASE_RETRY_DELAY_S = 5.0  # short, so that work resumes soon after the database is back


class DatabaseWait(ABC):
    """A loop that outlives its database; while it is `away`, its step() calls only _probe_database()."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.away = False  # the last save did not reach the database
        self.tries = 0  # failures in a row after which the loop waited
        self.not_before = clock.steady()

    @abstractmethod
    def _save_unsaved(self) -> None:
        """Save the states and transitions in memory. Raises one of DATABASE_AWAY; Fenced if the actor is lost."""

    @abstractmethod
    def _reset_after_outage(self) -> None:
        """Reset what would be reset automatically anyway."""

    def _wait_for_database(self, exc: Exception) -> float:
        """Note that the database is away; return the seconds until the next try."""
        connection.close()
        self.tries = self.tries + 1 if self.away else 1
        if not self.away:
            log.error("database away", reason=reason_of(exc))
        self.away = True
        delay = backoff(self.tries, MAX_DATABASE_RETRY_DELAY_S)
        self.not_before = self.clock.steady() + delay
        return delay

    def _probe_database(self) -> float:
        """Save what is in memory if a try is due, and work on if that succeeds; return the seconds to wait."""
        remaining = self.not_before - self.clock.steady()
        if remaining > 0:
            return remaining
        try:
            self._save_unsaved()
        except DATABASE_AWAY as exc:
            return self._wait_for_database(exc)
        self.away = False
        log.info("database back")
        self._reset_after_outage()
        return 0.0
