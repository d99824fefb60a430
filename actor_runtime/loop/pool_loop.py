"""One process's time with many actors of a chart: it finds work, claims its share of the rows, and gives turns."""

from __future__ import annotations

from collections.abc import Collection
from threading import Event
from typing import Protocol

import structlog
from django.db import connection

from actor_runtime.loop.actor_group import ActorGroup
from actor_runtime.loop.actor_loop import HEARTBEAT_EVERY_S, RESET_CHECK_EVERY_S
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.database_wait import DatabaseWait
from actor_runtime.models import Actor
from actor_runtime.ownership.process_identity import this_process
from actor_runtime.ownership.rebalancing import active_rows, choose_rows, claim_all, make_rows, unowned_rows
from actor_runtime.reset_policy import DATABASE_AWAY, reason_of

log = structlog.get_logger(__name__)

CLAIM_EVERY_S = 0.5
NO_WORK_LEFT = "nothing is left to do for it"


class PoolWork(Protocol):
    """What the actors of a process do together; no call may block for more than 5 s.

    A failure of single actors goes to `actors.fail()`; an exception that a method raises fails them all.
    """

    model: type[Actor]
    role: str  # the name of the process in the log
    pause: float  # seconds between turns that found nothing

    def has_news(self) -> bool:
        """Return whether there may be an actor with work to do where there was none at all."""

    def actor_names(self) -> Collection[str]:
        """Return the names of all actors with work to do, in any process; called every half second while there are."""

    def turn(self, actors: ActorGroup) -> bool:
        """Handle one batch for all actors that are at work; True if there may be more."""

    def beat(self, actors: ActorGroup) -> None:
        """Do what is due every 3 s."""

    def close(self) -> None:
        """Close connections; the next turn opens them again."""


class ActorPool(DatabaseWait):
    """Runs a process's share of the actors of a chart: the caller repeats step(), then calls end()."""

    def __init__(self, work: PoolWork, stop: Event, clock: Clock = Clock.system, me: str = "") -> None:
        super().__init__(clock)
        self.work = work
        self.me = me or this_process()
        self.actors = ActorGroup(work.model, self.me, stop, clock)
        self.are_rows_known = True  # rows to work on or to retire, in any process
        self.next_claim = self.next_beat = self.next_reset_check = clock.steady()

    def step(self) -> float:
        """Do what is due; return the seconds until something is due again."""
        try:
            return self._probe_database() if self.away else self._step()
        except Exception as exc:
            # Fire each actor's failure event; an actor in a state without one stays there and retries.
            if isinstance(exc, DATABASE_AWAY):
                connection.close()
            self._close()
            try:
                self.actors.fail([member for member in self.actors if not member.actor.in_error], exc)
            except DATABASE_AWAY as again:
                return self._wait_for_database(again)
            if not self.actors:
                log.warning("no actors yet", reason=reason_of(exc))
            return RESET_CHECK_EVERY_S

    def end(self) -> None:
        """Close the work and release the rows."""
        self._close()
        try:
            self.actors.release()
        except DATABASE_AWAY as exc:
            # The next process sees that this one no longer exists.
            log.warning("actors not released", reason=reason_of(exc))

    def _step(self) -> float:
        now = self.clock.steady()
        if now >= self.next_beat:
            self.next_beat = now + HEARTBEAT_EVERY_S
            self.actors.beat()
            self.work.beat(self.actors)
        if now >= self.next_claim:
            self.next_claim = now + CLAIM_EVERY_S
            if self.work.has_news() or self.are_rows_known:
                self._claim()
        if now >= self.next_reset_check:
            self.next_reset_check = now + self.actors.check_resets()
        return 0.0 if self.work.turn(self.actors) else self.work.pause

    def _claim(self) -> None:
        """Claim this process's share of the rows with work, and retire rows without any, its own or abandoned ones."""
        self.are_rows_known = True  # until we know better: this may fail halfway
        # The rows first: one that is made after both questions is not mistaken for one without work.
        rows = active_rows(self.work.model)
        names = set(self.work.actor_names())
        if missing := names.difference(row.name for row in rows):
            make_rows(self.work.model, missing)
            rows = active_rows(self.work.model)

        self.actors.drop_fenced({row.name: row.epoch for row in rows})
        self.actors.retire([member for member in self.actors if member.name not in names], NO_WORK_LEFT)

        mine = {member.name for member in self.actors}
        choices = choose_rows(self.work.model, [row for row in rows if row.name in names], self.me, mine)
        choices += unowned_rows([row for row in rows if row.name not in names], self.me, mine)  # retired next time
        self.actors.add(claim_all(self.work.model, choices, self.me))
        self.are_rows_known = bool(rows or names)

    def _close(self) -> None:
        try:
            self.work.close()
        except Exception as exc:
            log.warning("closing failed", reason=reason_of(exc))

    def _save_unsaved(self) -> None:
        self.actors.save(list(self.actors))

    def _reset_after_outage(self) -> None:
        due = [member for member in self.actors if member.actor.reset_at]
        self.actors.reset(due, by="automatic, the database is back")
