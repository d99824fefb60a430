"""One process's time with many actors of a chart: it looks for work, takes its share of the rows, and gives turns."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from threading import Event
from typing import Protocol

import structlog
from django.db import connection

from actor_runtime.loop.actor_group import ActorGroup
from actor_runtime.loop.actor_loop import BEAT_EVERY, LONGEST_KNOCK, WATCH_EVERY, Clock
from actor_runtime.models import Actor
from actor_runtime.ownership.process_identity import this_process
from actor_runtime.ownership.rebalancing import choose, claim_all, free_rows, make_rows, rows_at_work
from actor_runtime.reset_policy import DATABASE_AWAY, backoff, reason_of

log = structlog.get_logger(__name__)
LOOK_EVERY = 0.5  # seconds
NOTHING_LEFT = "nothing is left to do for it"


class PoolWork(Protocol):
    """What the actors of a process do together; no call may block for more than 5 s.

    What concerns some of them goes to `crew.fail()`; what a method raises concerns all.
    """

    model: type[Actor]
    role: str  # what the log names the process
    pause: float  # seconds between turns that found nothing

    def wanted(self) -> Collection[str]:
        """Return the names of all actors for which there is work, whoever does it; asked every half second."""

    def turn(self, crew: ActorGroup) -> bool:
        """Handle one batch of all that are at work; True if there may be more."""

    def beat(self, crew: ActorGroup) -> None:
        """Do what is due every 3 s."""

    def close(self) -> None:
        """Give connections back; the next turn makes them anew."""


class ActorPool:
    """From the first look to the release of all rows: call step() until told otherwise."""

    def __init__(self, work: PoolWork, stop: Event, clock: Clock = Clock.system, me: str = "") -> None:
        self.work = work
        self.clock = clock
        self.me = me or this_process()
        self.crew = ActorGroup(work.model, self.me, stop, clock)
        self.away = False  # the database did not take our last save
        self.tries = 0
        self.not_before = self.next_look = self.next_beat = self.next_watch = clock.steady()

    def step(self) -> float:
        """Do what is due; return the seconds until something is due again."""
        try:
            return self._step()
        except Exception as exc:
            return self._failed(exc)

    def end(self) -> None:
        """Close the work and give the rows back."""
        self._close()
        try:
            self.crew.release()
        except DATABASE_AWAY as exc:
            # The next process sees that we no longer exist.
            log.warning("actors not released", reason=reason_of(exc))

    def _step(self) -> float:
        now = self.clock.steady()
        if self.away:
            return self.not_before - now if now < self.not_before else self._knock()
        if now >= self.next_beat:
            self.next_beat = now + BEAT_EVERY
            self.crew.beat()
            self.work.beat(self.crew)
        if now >= self.next_look:
            self.next_look = now + LOOK_EVERY
            self._look()
        if now >= self.next_watch:
            self.next_watch = now + self._watch()
        return 0.0 if self.work.turn(self.crew) else self.work.pause

    def _look(self) -> None:
        """Take what is to be taken, and retire what has no work any more, ours or left behind by the dead."""
        # The rows first: one that is made later than both questions is not taken for one without work.
        rows = rows_at_work(self.work.model)
        wanted = set(self.work.wanted())
        if missing := wanted.difference(row.name for row in rows):
            make_rows(self.work.model, missing)
            rows = rows_at_work(self.work.model)
        self.crew.compare({row.name: row.epoch for row in rows})
        self.crew.retire([member for member in self.crew if member.name not in wanted], NOTHING_LEFT)
        mine = {member.name for member in self.crew}
        choices = choose(self.work.model, [row for row in rows if row.name in wanted], self.me, mine)
        choices += free_rows([row for row in rows if row.name not in wanted], self.me, mine)
        self.crew.join(claim_all(self.work.model, choices, self.me))

    def _watch(self) -> float:
        """Look after those in Error; return the seconds until one of them may leave it."""
        self.crew.watch()
        now = self.clock.now()
        resets: list[datetime] = [member.actor.reset_at for member in self.crew if member.actor.reset_at]
        return max(0.0, min([WATCH_EVERY, *((at - now).total_seconds() for at in resets)]))

    def _failed(self, exc: Exception) -> float:
        """Take what was raised through every chart that has an arrow for it; the others wait."""
        if isinstance(exc, DATABASE_AWAY):
            connection.close()
        self._close()
        try:
            self.crew.fail([member for member in self.crew if not member.actor.in_error], exc)
        except DATABASE_AWAY as again:
            return self._stay_away(again)
        if not self.crew:
            log.warning("no actors yet", reason=reason_of(exc))
        return WATCH_EVERY

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
        """Save what was kept in memory; rows whose epoch still stands go on."""
        try:
            self.crew.save(list(self.crew))
        except DATABASE_AWAY as exc:
            return self._stay_away(exc)
        self.away = False
        log.info("database back")
        kept = [member for member in self.crew if member.actor.reset_at]
        self.crew.reset(kept, by="automatic, the database is back")
        return 0.0

    def _close(self) -> None:
        try:
            self.work.close()
        except Exception as exc:
            log.warning("closing failed", reason=reason_of(exc))
