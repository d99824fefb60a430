"""One process's time with one actor: turns, heartbeats, failures and automatic resets."""

from __future__ import annotations

from typing import Protocol

import structlog
from django.db import connection

from actor_runtime.charts import failure_event
from actor_runtime.errors import Fenced
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.database_wait import DatabaseWait
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import DATABASE_AWAY, backoff, reason_of

log = structlog.get_logger(__name__)

HEARTBEAT_EVERY_S = 3.0
IDLE_PAUSE_S = 0.02  # between turns that found nothing
RESET_CHECK_EVERY_S = 1.0  # how often an actor in Error looks for a reset from outside
MAX_RETRY_DELAY_S = 30.0


class Work(Protocol):
    """What an actor does; no call may block for more than 5 s.

    It may also have `pause`, the seconds between turns that found nothing; `copies`, how many processes do the same
    work at once, each with a row of its own; and two methods that are called about once a second while the actor is in
    Error: `turn_in_error()`, and `cause_is_gone(actor)`, which returns why an Error that waits for a person may end
    without one, None if it may not.
    """

    model: type[Actor]
    role: str  # rows are role-1, role-2 …
    several: bool  # whether more than one process may work at once

    def open(self, session: ActorSession) -> None:
        """Build, or rebuild, what the turns need: after a claim, after a reset, and after every turn that failed."""

    def turn(self) -> bool:
        """Handle one batch; True if there may be more."""

    def beat(self) -> None:
        """Do what is due every 3 s."""

    def close(self) -> None:
        """Close connections; write nothing."""


class ActorLoop(DatabaseWait):
    """Runs one actor from claim to release: the caller repeats step(), then calls end()."""

    def __init__(self, work: Work, session: ActorSession, clock: Clock = Clock.system) -> None:
        super().__init__(clock)
        self.work = work
        self.session = session
        self.opened = False
        self.next_beat = clock.steady()

    def step(self) -> float:
        """Do what is due; return the seconds until something is due again. Raises Fenced."""
        try:
            if self.away:
                return self._probe_database()
            if (now := self.clock.steady()) >= self.next_beat:
                self.session.beat()
                self.next_beat = now + HEARTBEAT_EVERY_S
                if self.opened:
                    self.work.beat()
            return self._wait_for_reset() if self.session.actor.in_error else self._turn()
        except Fenced:
            raise
        except Exception as exc:
            return self._failed(exc)

    def end(self) -> None:
        """Close the work and release the row."""
        self.close()
        try:
            self.session.undo()
            self.session.release()
        except Fenced:
            log.warning("actor was taken over")
        except DATABASE_AWAY as exc:
            # The next process sees that this one no longer exists.
            log.warning("actor not released", reason=reason_of(exc))

    def close(self) -> None:
        """Close the work and leave the row alone."""
        try:
            self.work.close()
        except Exception as exc:
            log.warning("closing failed", reason=reason_of(exc))

    def _turn(self) -> float:
        now = self.clock.steady()
        if now < self.not_before:
            return min(self.not_before, self.next_beat) - now
        if not self.opened:
            self.work.open(self.session)
            self.opened = True

        self.session.resetter = "automatic"  # for an Error that the turn itself fires; an exception names its own
        more = self.work.turn()

        if self.tries:
            self.tries = 0
            self.session.waiting(None)
        return 0.0 if more else float(getattr(self.work, "pause", IDLE_PAUSE_S))

    def _failed(self, exc: Exception) -> float:
        """Fire the failure event of the actor's state; an actor in a state without one stays there and retries."""
        if isinstance(exc, DATABASE_AWAY):
            connection.close()
        self.opened = False
        self.session.undo()

        actor = self.session.actor
        try:
            if event := failure_event(self.work.model, str(actor.state)):
                self.session.fail(exc, event, self.clock.now())
                self.session.save()
                return 0.0
            if not actor.in_error:
                reason = reason_of(exc)
                self.tries += 1
                delay = backoff(self.tries, MAX_RETRY_DELAY_S)
                self.not_before = self.clock.steady() + delay
                if reason != self.session.actor.waiting_for:
                    log.warning("actor waits", reason=reason)
                self.session.waiting(reason)
                return min(delay, HEARTBEAT_EVERY_S)
            if actor.journal.pending:
                self.session.save()
            return RESET_CHECK_EVERY_S
        except DATABASE_AWAY as again:
            return self._wait_for_database(again)

    def _wait_for_reset(self) -> float:
        """Wait in Error until a person resets the actor or its automatic reset is due."""
        self.opened = False
        if self.session.actor.journal.pending:
            self.session.save()
        self.session.observe()
        actor = self.session.actor
        if not actor.in_error:
            return 0.0

        left = self.session.reset_in(self.clock)
        if left is None:
            left = MAX_RETRY_DELAY_S
        if left <= 0:
            self.session.reset(by=self.session.resetter)
            return 0.0
        cause_is_gone = getattr(self.work, "cause_is_gone", None)
        if actor.reset_at is None and cause_is_gone and (why := cause_is_gone(actor)):
            self.session.reset(by=why)
            return 0.0
        if turn_in_error := getattr(self.work, "turn_in_error", None):
            turn_in_error()
        return min(left, RESET_CHECK_EVERY_S)

    def _save_unsaved(self) -> None:
        self.session.save()

    def _reset_after_outage(self) -> None:
        if self.session.actor.reset_at:
            self.session.reset(by="automatic, the database is back")
