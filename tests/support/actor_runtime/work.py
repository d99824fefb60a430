"""A work object whose turns are scripted, and a clock that only moves when asked."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from actor_runtime.loop.actor_loop import ActorLoop
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor, TransitionLog
from actor_runtime.ownership.claims import add_row, claim
from consumers.models import FixedTopicConsumer

GONE = f"{socket.gethostname()}:1:no such start"  # an owner that does not exist


class Hands:
    """The two hands of a mocked clock."""

    def __init__(self) -> None:
        self.start = datetime(2026, 1, 1, tzinfo=UTC)
        self.seconds = 0.0
        self.clock = Clock(now=lambda: self.start + timedelta(seconds=self.seconds), steady=lambda: self.seconds)


class Scripted:
    """Each turn runs the next step of the script, given the session; an empty script has nothing to do."""

    model: type[Actor] = FixedTopicConsumer
    role = "fixed-tick"
    several = False

    def __init__(self, *script: Callable[[ActorSession], None], several: bool = False) -> None:
        self.script = list(script)
        self.several = several
        self.opened = self.closed = self.beats = self.turns = 0

    def open(self, session: ActorSession) -> None:
        self.session = session
        self.opened += 1

    def turn(self) -> bool:
        self.turns += 1
        if not self.script:
            return False
        self.script.pop(0)(self.session)
        return True

    def beat(self) -> None:
        self.beats += 1

    def close(self) -> None:
        self.closed += 1


def to_writing(session: ActorSession) -> None:
    session.actor.message_received()
    session.actor.process_success()
    session.save()


def one_batch(session: ActorSession) -> None:
    to_writing(session)
    session.actor.write_success()
    session.actor.update_cache_success()
    session.save()


def failing(exc: Exception, begin: Callable[[ActorSession], None] = to_writing) -> Callable[[ActorSession], None]:
    def step(session: ActorSession) -> None:
        begin(session)
        raise exc

    return step


def nothing(session: ActorSession) -> None:
    """Stay in the state at hand."""


def owned(me: str = "elsewhere:1:1", role: str = "fixed-tick") -> Actor:
    """Return an actor row owned by me."""
    actor = claim(FixedTopicConsumer, role, me) or add_row(FixedTopicConsumer, role, me)
    assert actor is not None
    return actor


def loop_of(work: Scripted, hands: Hands, actor: Actor | None = None) -> ActorLoop:
    return ActorLoop(work, ActorSession(actor or owned(), Event()), hands.clock)


def logged(*fields: str) -> list[tuple[object, ...]]:
    return list(TransitionLog.objects.order_by("id").values_list(*(fields or ("event", "source", "target"))))
