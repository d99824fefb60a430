"""The loop of every actor process: the only one."""

from __future__ import annotations

from threading import Event
from typing import Protocol

import structlog
from django.db import connection

from actor_runtime.errors import Fenced
from actor_runtime.loop.actor_loop import LONGEST_KNOCK, ActorLoop, Clock, Work
from actor_runtime.loop.pool_loop import ActorPool, PoolWork
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.ownership.claims import NEXT_ROW_AFTER, add_row, claim, rows_of
from actor_runtime.ownership.process_identity import this_process
from actor_runtime.reset_policy import DATABASE_AWAY, backoff, reason_of

log = structlog.get_logger(__name__)
SEEK_EVERY = 1.0


def run(work: Work, stop: Event, clock: Clock = Clock.system) -> None:
    """Own a row of the work's role and give it turns until stop; the turn in hand is finished."""
    _go_round(Runner(work, stop, clock), stop, work.role)


def run_many(work: PoolWork, stop: Event, clock: Clock = Clock.system) -> None:
    """Own a share of the rows of the work's chart and give them turns until stop; the turn in hand is finished."""
    _go_round(ActorPool(work, stop, clock), stop, work.role)


class _Steps(Protocol):
    def step(self) -> float: ...
    def end(self) -> None: ...


def _go_round(steps: _Steps, stop: Event, role: str) -> None:
    with structlog.contextvars.bound_contextvars(actor=role):
        while not stop.is_set():
            stop.wait(steps.step())
        steps.end()


class Runner:
    """Looks for a row, works its shift, and looks again when another process took it over."""

    def __init__(self, work: Work, stop: Event, clock: Clock = Clock.system, me: str = "") -> None:
        self.work = work
        self.stop = stop
        self.clock = clock
        self.me = me or this_process()
        self.shift: ActorLoop | None = None
        self.since = clock.steady()
        self.tries = 0

    def step(self) -> float:
        """Seek a row or work on it; return the seconds until something is due again."""
        try:
            return self.shift.step() if self.shift else self._seek()
        except Fenced:
            return self._fenced()

    def end(self) -> None:
        """Give the row back."""
        if self.shift:
            self.shift.end()

    def _fenced(self) -> float:
        if self.shift:
            log.warning("actor was taken over", by_us=self.me)
            self.shift.close()
        self.shift = None
        structlog.contextvars.bind_contextvars(actor=self.work.role)
        self.since = self.clock.steady()
        return SEEK_EVERY

    def _seek(self) -> float:
        try:
            actor = claim(self.work.model, self.work.role, self.me) or self._next_row()
        except DATABASE_AWAY as exc:
            return self._away(exc)
        self.tries = 0
        if actor is None:
            return SEEK_EVERY
        structlog.contextvars.bind_contextvars(actor=actor.name)
        log.info("actor claimed", epoch=actor.epoch, state=str(actor.state))
        self.shift = ActorLoop(self.work, ActorSession(actor, self.stop), self.clock)
        return 0.0

    def _next_row(self) -> Actor | None:
        """Make a row where the role has none, or where several may work and none came free."""
        there = any(row.retired_at is None for row in rows_of(self.work.model, self.work.role))
        waited = self.clock.steady() - self.since >= NEXT_ROW_AFTER
        if there and not (self.work.several and waited):
            return None
        return add_row(self.work.model, self.work.role, self.me)

    def _away(self, exc: Exception) -> float:
        connection.close()
        self.tries += 1
        log.warning("no actor yet: database away", reason=reason_of(exc))
        return backoff(self.tries, LONGEST_KNOCK)
