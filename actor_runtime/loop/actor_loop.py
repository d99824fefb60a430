"""One process's time with one actor: turns, heartbeats, failures and automatic resets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

import structlog
from django.db import connection
from django.utils import timezone

from actor_runtime.charts import failure_event
from actor_runtime.errors import Fenced
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import DATABASE_AWAY, backoff, reason_of

log = structlog.get_logger(__name__)
BEAT_EVERY = 3.0
PAUSE = 0.02  # seconds between turns that found nothing
WATCH_EVERY = 1.0  # how often an actor in Error looks for a reset from outside
LONGEST_WAIT = 30.0
LONGEST_KNOCK = 5.0  # a database that is back should not be kept waiting


class Work(Protocol):
    """What an actor does; no call may block for more than 5 s.

    A work may also have `pause` (seconds between turns that found nothing) and `meanwhile()`, what goes on in Error.
    """

    model: type[Actor]
    role: str  # rows are role-1, role-2 …
    several: bool  # whether more than one process may work at once

    def open(self, session: ActorSession) -> None:
        """Build what the turns need, or build it anew: after a claim, a reset, and whenever a turn has failed."""

    def turn(self) -> bool:
        """Handle one batch; True if there may be more."""

    def beat(self) -> None:
        """Do what is due every 3 s."""

    def close(self) -> None:
        """Give connections back; write nothing."""


@dataclass(frozen=True)
class Clock:
    """The two clocks of a shift: time of day for what is stored, a steady one for spans."""

    now: Callable[[], datetime] = timezone.now
    steady: Callable[[], float] = time.monotonic
    system: ClassVar[Clock]


Clock.system = Clock()


class ActorLoop:
    """From claim to release: call step() until told otherwise."""

    def __init__(self, work: Work, session: ActorSession, clock: Clock = Clock.system) -> None:
        self.work = work
        self.session = session
        self.clock = clock
        self.opened = False
        self.away = False  # the database did not take our last save
        self.tries = 0  # failures in a row that only made us wait
        self.not_before = self.next_beat = clock.steady()

    def step(self) -> float:
        """Do what is due; return the seconds until something is due again. Raises Fenced."""
        try:
            return self._step()
        except Fenced:
            raise
        except Exception as exc:
            return self._failed(exc)

    def _step(self) -> float:
        now = self.clock.steady()
        if self.away:
            return self.not_before - now if now < self.not_before else self._knock()
        if now >= self.next_beat:
            self._beat(now)
        if self.session.actor.in_error:
            return self._sit_out()
        if now < self.not_before:
            return min(self.not_before, self.next_beat) - now
        return self._turn()

    def _beat(self, now: float) -> None:
        self.session.beat()
        self.next_beat = now + BEAT_EVERY
        if self.opened:
            self.work.beat()

    def _turn(self) -> float:
        if not self.opened:
            self.work.open(self.session)
            self.opened = True
        self.session.resetter = "automatic"  # of an Error that the turn itself fires; what it raises says more
        more = self.work.turn()
        if self.tries:
            self.tries = 0
            self.session.waiting(None)
        return 0.0 if more else float(getattr(self.work, "pause", PAUSE))

    def _failed(self, exc: Exception) -> float:
        """Take what was raised through the chart, or wait where the chart has no arrow to Error."""
        if isinstance(exc, DATABASE_AWAY):
            connection.close()
        self.opened = False
        self.session.undo()
        try:
            return self._fail(exc, reason_of(exc))
        except DATABASE_AWAY as again:
            return self._stay_away(again)

    def _fail(self, exc: Exception, reason: str) -> float:
        actor = self.session.actor
        event = failure_event(self.work.model, str(actor.state))
        if event:
            self.session.fail(exc, event, self.clock.now())
        elif not actor.in_error:
            return self._wait(reason)
        if actor.journal.pending:
            self.session.save()
        return 0.0 if event else WATCH_EVERY

    def _wait(self, reason: str) -> float:
        self.tries += 1
        delay = backoff(self.tries, LONGEST_WAIT)
        self.not_before = self.clock.steady() + delay
        if reason != self.session.actor.waiting_for:
            log.warning("actor waits", reason=reason)
        self.session.waiting(reason)
        return min(delay, BEAT_EVERY)

    def _stay_away(self, exc: Exception) -> float:
        """Keep everything in memory: no state can be saved."""
        connection.close()
        self.tries = self.tries + 1 if self.away else 1
        if not self.away:
            log.error("database away", reason=reason_of(exc))
        self.away = True
        delay = backoff(self.tries, LONGEST_KNOCK)
        self.not_before = self.clock.steady() + delay
        return delay

    def _knock(self) -> float:
        """Save what was kept in memory; an owner whose epoch still stands goes on."""
        try:
            self.session.save()
        except DATABASE_AWAY as exc:
            return self._stay_away(exc)
        self.away = False
        log.info("database back")
        if self.session.actor.reset_at:
            self.session.reset(by="automatic, the database is back")
        return 0.0

    def _sit_out(self) -> float:
        """Wait for the reset: our own when it is due, or somebody else's."""
        self.opened = False
        if self.session.actor.journal.pending:
            self.session.save()
        self.session.observe()
        actor = self.session.actor
        if not actor.in_error:
            return 0.0
        left = LONGEST_WAIT if actor.reset_at is None else (actor.reset_at - self.clock.now()).total_seconds()
        if left <= 0:
            self.session.reset(by=self.session.resetter)
            return 0.0
        if meanwhile := getattr(self.work, "meanwhile", None):
            meanwhile()
        return min(left, WATCH_EVERY)

    def end(self) -> None:
        """Close the work and give the row back."""
        self.close()
        try:
            self.session.undo()
            self.session.release()
        except Fenced:
            log.warning("actor was taken over")
        except DATABASE_AWAY as exc:
            # The next process sees that we no longer exist.
            log.warning("actor not released", reason=reason_of(exc))

    def close(self) -> None:
        """Close the work and leave the row alone."""
        try:
            self.work.close()
        except Exception as exc:
            log.warning("closing failed", reason=reason_of(exc))
