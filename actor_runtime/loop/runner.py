"""The loop of every actor process: the only one."""

from __future__ import annotations

from threading import Event
from typing import Protocol

import structlog
from django.db import connection

from actor_runtime.errors import Fenced
from actor_runtime.loop.actor_loop import ActorLoop, Work
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.database_wait import MAX_DATABASE_RETRY_DELAY_S
from actor_runtime.loop.pool_loop import ActorPool, PoolWork
from actor_runtime.loop.session import ActorSession
from actor_runtime.ownership.claims import NEXT_ROW_AFTER_S, add_row, claim, rows_of
from actor_runtime.ownership.process_identity import this_process
from actor_runtime.reset_policy import DATABASE_AWAY, backoff, reason_of

log = structlog.get_logger(__name__)

SEEK_EVERY_S = 1.0


def run(work: Work, stop: Event, clock: Clock = Clock.system) -> None:
    """Own a row of the work's role and give it turns until stop; the turn in hand is finished."""
    _step_until(stop, Runner(work, stop, clock), work.role)


def run_many(work: PoolWork, stop: Event, clock: Clock = Clock.system) -> None:
    """Own a share of the rows of the work's chart and give them turns until stop; the turn in hand is finished."""
    _step_until(stop, ActorPool(work, stop, clock), work.role)


class _Steppable(Protocol):
    def step(self) -> float: ...
    def end(self) -> None: ...


def _step_until(stop: Event, loop: _Steppable, role: str) -> None:
    with structlog.contextvars.bound_contextvars(actor=role):
        while not stop.is_set():
            stop.wait(loop.step())
        loop.end()


class Runner:
    """Claims a row, runs its actor, and claims another when a different process took the row over."""

    def __init__(self, work: Work, stop: Event, clock: Clock = Clock.system, me: str = "") -> None:
        self.work = work
        self.stop = stop
        self.clock = clock
        self.me = me or this_process()
        self.loop: ActorLoop | None = None
        self.since = clock.steady()  # when this process began to seek a row
        self.tries = 0

    def step(self) -> float:
        """Seek a row or work on it; return the seconds until something is due again."""
        try:
            return self.loop.step() if self.loop else self._seek()
        except Fenced:
            if self.loop:
                log.warning("actor was taken over", by_us=self.me)
                self.loop.close()
            self.loop = None
            structlog.contextvars.bind_contextvars(actor=self.work.role)
            self.since = self.clock.steady()
            return SEEK_EVERY_S

    def end(self) -> None:
        """Release the row."""
        if self.loop:
            self.loop.end()

    def _seek(self) -> float:
        """Claim a row; make one if the role lacks one, or if it may have several and none became free in time."""
        model, role = self.work.model, self.work.role
        may_add = self.work.several and self.clock.steady() - self.since >= NEXT_ROW_AFTER_S
        try:
            actor = claim(model, role, self.me)
            if actor is None and (may_add or self._lacks_a_row()):
                actor = add_row(model, role, self.me)
        except DATABASE_AWAY as exc:
            connection.close()
            self.tries += 1
            log.warning("no actor yet: database away", reason=reason_of(exc))
            return backoff(self.tries, MAX_DATABASE_RETRY_DELAY_S)

        self.tries = 0
        if actor is None:
            return SEEK_EVERY_S
        structlog.contextvars.bind_contextvars(actor=actor.name)
        log.info("actor claimed", epoch=actor.epoch, state=str(actor.state))
        self.loop = ActorLoop(self.work, ActorSession(actor, self.stop), self.clock)
        return 0.0

    def _lacks_a_row(self) -> bool:
        """Return whether the role has fewer rows than processes that are to work at once."""
        rows = [row for row in rows_of(self.work.model, self.work.role) if row.retired_at is None]
        return len(rows) < getattr(self.work, "copies", 1)
