"""One process's ownership of one actor row."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Event
from typing import Any

from django.db import connection

from actor_runtime.errors import Fenced
from actor_runtime.journal import persistence
from actor_runtime.loop.clock import Clock
from actor_runtime.models import Actor
from actor_runtime.redaction import without_secrets
from actor_runtime.reset_policy import MAX_RESET_DELAY_S, reason_of, reset_delay, resetter


class ActorSession:
    """A work object's hold on its actor.

    Between saves the instance in memory is the truth: fire transitions on `session.actor`, then `session.save()`.
    Never keep `session.actor` in a variable across turns: a reset puts a fresh instance there.
    """

    def __init__(self, actor: Actor, stop: Event) -> None:
        self.actor: Any = actor
        self.stop = stop
        self.name = actor.name
        self.epoch = actor.epoch
        self._reset_seen: datetime | None = None  # the time of the row for which _reset_due was worked out
        self._reset_due = 0.0  # seconds of the steady clock
        self.resetter = "automatic"  # what the log will name as the cause of the next reset

    @property
    def claim(self) -> str:
        """Return a name of this ownership, for claims.abandoned_claims() to check later whether it still holds."""
        return f"{self.name}@{self.epoch}"

    def save(self) -> None:
        """Write state, transitions and heartbeat. Raises Fenced.

        Inside an open transaction the write is part of it, and if that fails, the loop takes back in memory what was
        fired in it. So fire and save inside the block the transitions that belong to what the block stores.
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
        """Fire this event, which leads to Error, and note when and by what the actor will be reset. Saves nothing."""
        getattr(self.actor, event)(reason=reason_of(exc), at=now)
        delay = reset_delay(exc, self.actor.error_count)
        self.actor.reset_at = None if delay is None else now + timedelta(seconds=delay)
        self.resetter = resetter(exc, delay)

    def reset_in(self, clock: Clock) -> float | None:
        """Return the seconds until the automatic reset, 0 or less when it is due; None if a person must reset.

        The row's time of day is looked at once, and the rest is waited by the steady clock: the time may be set until
        then, or be of another machine.
        """
        at = self.actor.reset_at
        if at is None:
            return None
        if self._reset_seen != at:
            left = min((at - clock.now()).total_seconds(), MAX_RESET_DELAY_S)
            self._reset_seen, self._reset_due = at, clock.steady() + left
        return self._reset_due - clock.steady()

    def waiting(self, reason: str | None) -> None:
        """Set what the actor waits for, None for nothing; written at once if it changed. Raises Fenced."""
        reason = reason and without_secrets(reason)
        if reason != self.actor.waiting_for:
            self.actor.waiting_for = reason
            self.beat()

    def beat(self) -> None:
        """Renew the heartbeat. Raises Fenced."""
        persistence.beat(self.actor)

    def observe(self) -> None:
        """Read the row while in Error, since another process may have reset it. Raises Fenced."""
        fresh = type(self.actor)._default_manager.filter(name=self.name, epoch=self.epoch).first()
        if fresh is None:
            raise Fenced
        if not fresh.in_error:
            self.actor = fresh

    def reset(self, by: str) -> None:
        """Leave Error, if the actor is still there. Raises Fenced."""
        with type(self.actor).locked(self.name, epoch=self.epoch) as actor:
            if actor.in_error:
                actor.reset(by=by)
                actor.waiting_for = None
        self.actor = actor

    def release(self) -> None:
        """Release the row, so that another process can claim it at once. Raises Fenced."""
        self.actor.owner = ""
        self.actor.waiting_for = None
        self.save()
