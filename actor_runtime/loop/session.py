"""One process's ownership of one actor row."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Event
from typing import Any

from django.db import connection

from actor_runtime.errors import Fenced
from actor_runtime.journal import persistence
from actor_runtime.models import Actor
from actor_runtime.reset_policy import reason_of, reset_delay, resetter


class ActorSession:
    """What a work object holds of its actor.

    Between saves the instance in memory is the truth: fire transitions on `session.actor`, then `session.save()`.
    Always go through `session.actor`: a reset puts a fresh instance there.
    """

    def __init__(self, actor: Actor, stop: Event) -> None:
        self.actor: Any = actor
        self.stop = stop
        self.name = actor.name
        self.epoch = actor.epoch
        self.resetter = "automatic"  # what the log names as the one who leaves Error again

    @property
    def claim(self) -> str:
        """Name this ownership to those who must know later whether it still stands (claims.abandoned_claims)."""
        return f"{self.name}@{self.epoch}"

    def save(self) -> None:
        """Write state and transitions, heartbeat with them. Raises Fenced.

        Inside an open transaction it is part of it; if that fails, the runner takes back in memory what was fired
        in it. So fire inside the block what the block stores, and save there.
        """
        if not connection.in_atomic_block and self.actor.journal.joined:
            self.undo()
        persistence.store(self.actor, self.epoch, beats=True)

    def undo(self) -> None:
        """Take back the transitions that were fired inside a transaction that has failed."""
        if connection.in_atomic_block:
            return
        if state := self.actor.journal.undone():
            type(self.actor).state.field.set_state(self.actor, self.actor.State(state))

    def fail(self, exc: Exception, event: str, now: datetime) -> None:
        """Take this arrow to Error, and note when and by whom it is left again; nothing is saved yet."""
        getattr(self.actor, event)(reason=reason_of(exc), at=now)
        delay = reset_delay(exc, self.actor.error_count)
        self.actor.reset_at = None if delay is None else now + timedelta(seconds=delay)
        self.resetter = resetter(exc, delay)

    def waiting(self, reason: str | None) -> None:
        """Say what the actor waits for, None: nothing. Written at once when it changes. Raises Fenced."""
        if reason != self.actor.waiting_for:
            self.actor.waiting_for = reason
            self.beat()

    def beat(self) -> None:
        """Renew the heartbeat. Raises Fenced."""
        persistence.beat(self.actor)

    def observe(self) -> None:
        """Read the row while in Error: another process may have reset it. Raises Fenced."""
        fresh = self._rows().first()
        if fresh is None:
            raise Fenced
        if not fresh.in_error:
            self.actor = fresh

    def reset(self, by: str) -> None:
        """Leave Error unless somebody else was quicker. Raises Fenced."""
        with type(self.actor).locked(self.name, epoch=self.epoch) as actor:
            if actor.in_error:
                actor.reset(by=by)
                actor.waiting_for = None
        self.actor = actor

    def release(self) -> None:
        """Give the row back, so that the next process takes it at once. Raises Fenced."""
        self.actor.owner = ""
        self.actor.waiting_for = None
        self.save()

    def _rows(self) -> Any:
        return type(self.actor)._default_manager.filter(name=self.name, epoch=self.epoch)
