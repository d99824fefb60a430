"""The actors of one chart that a process owns: saved, kept alive, failed and reset many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Event

import structlog

from actor_runtime.charts import failure_event
from actor_runtime.journal import persistence
from actor_runtime.loop.actor_loop import MAX_RETRY_DELAY_S, RESET_CHECK_EVERY_S
from actor_runtime.loop.clock import Clock
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import backoff, reason_of

log = structlog.get_logger(__name__)


class OwnedActor(ActorSession):
    """A member of the group: after `tries` failures in a row it waits, and is not tried before `not_before`."""

    def __init__(self, actor: Actor, stop: Event) -> None:
        super().__init__(actor, stop)
        self.tries = 0
        self.not_before = 0.0  # seconds of the steady clock

    @property
    def state(self) -> str:
        """Return the state in memory, which is the truth between saves."""
        return str(self.actor.state)


class ActorGroup:
    """The rows that this process owns, by name. A row that another process took is dropped at the next write."""

    def __init__(self, model: type[Actor], me: str, stop: Event, clock: Clock = Clock.system) -> None:
        self.model = model
        self.me = me
        self.stop = stop
        self.clock = clock
        self._members: dict[str, OwnedActor] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[OwnedActor]:
        return iter(list(self._members.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def get(self, name: str) -> OwnedActor | None:
        """Return the member of this name, None if this process does not own it."""
        return self._members.get(name)

    def members_of(self, names: Iterable[str]) -> list[OwnedActor]:
        """Return those members that have one of these names."""
        return [self._members[name] for name in names if name in self._members]

    def add(self, actors: Iterable[Actor]) -> None:
        """Begin to work on rows that were just claimed."""
        for actor in actors:
            log.info("actor claimed", actor=actor.name, epoch=actor.epoch, state=str(actor.state))
            self._members[actor.name] = OwnedActor(actor, self.stop)

    def save(self, members: Sequence[OwnedActor]) -> set[str]:
        """Write states and transitions in one statement; return the names that were fenced, which are dropped."""
        written = persistence.store_all([member.actor for member in members])
        return self._drop({member.name for member in members} - written)

    def beat(self) -> set[str]:
        """Renew all heartbeats in one statement; return the names that were fenced, which are dropped."""
        ours = persistence.beat_all([member.actor for member in self])
        return self._drop(set(self._members) - ours)

    def drop_fenced(self, epochs: Mapping[str, int]) -> None:
        """Drop the members whose rows were just read with another epoch."""
        self._drop({member.name for member in self if epochs.get(member.name, member.epoch) != member.epoch})

    def _drop(self, fenced: set[str]) -> set[str]:
        for name in fenced:
            self._members.pop(name, None)
        if fenced:
            log.warning("actors were taken over", actors=sorted(fenced), by_us=self.me)
        return fenced

    def undo(self, members: Iterable[OwnedActor]) -> None:
        """Take back the transitions that were fired inside a transaction that has failed."""
        for member in members:
            member.undo()

    def fail(self, members: Sequence[OwnedActor], exc: Exception) -> None:
        """Fire each actor's failure event; an actor in a state without one stays there and retries later."""
        now, reason = self.clock.now(), reason_of(exc)
        waiting: list[OwnedActor] = []
        for member in members:
            member.undo()
            if event := failure_event(self.model, member.state):
                member.fail(exc, event, now)
            elif not member.actor.in_error:
                waiting.append(member)

        if names := [member.name for member in waiting if member.actor.waiting_for != reason]:
            log.warning("actors wait", actors=names, reason=reason)
        for member in waiting:
            member.tries += 1
            member.not_before = self.clock.steady() + backoff(member.tries, MAX_RETRY_DELAY_S)
            member.actor.waiting_for = reason
        self.save(members)

    def resumed(self, members: Iterable[OwnedActor]) -> None:
        """Note that these members no longer wait for anything."""
        waited = [member for member in members if member.tries]
        for member in waited:
            member.tries, member.actor.waiting_for = 0, None
        self.save(waited)

    def is_due(self, member: OwnedActor) -> bool:
        """Return whether a member may be tried (again); one in Error may not."""
        return not member.actor.in_error and self.clock.steady() >= member.not_before

    def check_resets(self) -> float:
        """Adopt resets made from outside and do the automatic ones that are due; return the seconds to the next check.

        A check is due every second, and sooner if an automatic reset is.
        """
        if errored := [member for member in self if member.actor.in_error]:
            self.save([member for member in errored if member.actor.journal.pending])
            rows = self.model._default_manager.filter(name__in=[member.name for member in errored])
            found = {row.name: row for row in rows}
            self._drop({one.name for one in errored if one.name not in found or found[one.name].epoch != one.epoch})
            for member in self.members_of(found):
                if not found[member.name].in_error:
                    member.actor = found[member.name]
        self.reset([member for member in self if (left := member.reset_in(self.clock)) is not None and left <= 0])
        waits = [left for member in self if (left := member.reset_in(self.clock)) is not None]
        return max(0.0, min([RESET_CHECK_EVERY_S, *waits]))

    def reset(self, members: Sequence[OwnedActor], by: str = "") -> None:
        """Bring members out of Error; by: what the log names as the cause, by default what their failure set."""
        for member in members:
            member.actor.reset(by=by or member.resetter)
            member.actor.waiting_for = None
        self.save(members)

    def retire(self, members: Sequence[OwnedActor], why: str) -> list[OwnedActor]:
        """Retire rows that have no more work, after a reset if they are in Error; return those that were still ours.

        If this is part of a transaction that fails later, they have left the group all the same; the next claim
        finds their rows as left over by this process.
        """
        for member in members:
            if member.actor.in_error:
                member.actor.reset(by=why)
            member.actor.owner, member.actor.waiting_for, member.actor.retired_at = "", None, self.clock.now()
        fenced = self.save(members)
        retired = [member for member in members if member.name not in fenced]
        for member in retired:
            del self._members[member.name]
            log.info("actor retired", actor=member.name, reason=why)
        return retired

    def release(self) -> None:
        """Release all rows, so that other processes can claim them at once."""
        for member in self:
            member.undo()
            member.actor.owner, member.actor.waiting_for = "", None
        self.save(list(self))
        self._members.clear()
