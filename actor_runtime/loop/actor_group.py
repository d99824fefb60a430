"""The actors of one chart that a process owns together: saved, kept alive, failed and reset many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Event

import structlog

from actor_runtime.charts import failure_event
from actor_runtime.journal import persistence
from actor_runtime.loop.actor_loop import LONGEST_WAIT, Clock
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import backoff, reason_of

log = structlog.get_logger(__name__)


class OwnedActor(ActorSession):
    """One of them: `tries` failures in a row only made it wait, and it is not to be tried before `not_before`."""

    def __init__(self, actor: Actor, stop: Event) -> None:
        super().__init__(actor, stop)
        self.tries = 0
        self.not_before = 0.0  # steady clock

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
        """Return the member of this name, None where it is not ours."""
        return self._members.get(name)

    def named(self, names: Iterable[str]) -> list[OwnedActor]:
        """Return those of these names that are ours."""
        return [self._members[name] for name in names if name in self._members]

    def join(self, actors: Iterable[Actor]) -> None:
        """Begin to work on rows that were just taken."""
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

    def compare(self, epochs: Mapping[str, int]) -> None:
        """Drop those whose rows were just seen with another epoch."""
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
        """Take what was raised through each one's chart; where the chart has no arrow to Error, it waits."""
        now = self.clock.now()
        held: list[OwnedActor] = []
        for member in members:
            member.undo()
            if event := failure_event(self.model, member.state):
                member.fail(exc, event, now)
            elif not member.actor.in_error:
                held.append(member)
        self._hold(held, reason_of(exc))
        self.save(members)

    def _hold(self, members: Sequence[OwnedActor], reason: str) -> None:
        if told := [member.name for member in members if member.actor.waiting_for != reason]:
            log.warning("actors wait", actors=told, reason=reason)
        for member in members:
            member.tries += 1
            member.not_before = self.clock.steady() + backoff(member.tries, LONGEST_WAIT)
            member.actor.waiting_for = reason

    def resumed(self, members: Iterable[OwnedActor]) -> None:
        """Note that these wait for nothing any more."""
        held = [member for member in members if member.tries]
        for member in held:
            member.tries, member.actor.waiting_for = 0, None
        self.save(held)

    def is_due(self, member: OwnedActor) -> bool:
        """Say whether a member that was made to wait may be tried again; one in Error may not."""
        return not member.actor.in_error and self.clock.steady() >= member.not_before

    def watch(self) -> None:
        """See which of those in Error somebody has reset, and reset those that are due."""
        self._observe([member for member in self if member.actor.in_error])
        now = self.clock.now()
        self.reset([member for member in self if member.actor.reset_at and member.actor.reset_at <= now])

    def _observe(self, errored: Sequence[OwnedActor]) -> None:
        if not errored:
            return
        self.save([member for member in errored if member.actor.journal.pending])
        rows = self.model._default_manager.filter(name__in=[member.name for member in errored])
        found = {row.name: row for row in rows}
        self._drop({member.name for member in errored if not _stands(member, found.get(member.name))})
        for member in self.named(found):
            if not found[member.name].in_error:
                member.actor = found[member.name]

    def reset(self, members: Sequence[OwnedActor], by: str = "") -> None:
        """Leave Error; by: what the log names, else what each failure said."""
        for member in members:
            member.actor.reset(by=by or member.resetter)
            member.actor.waiting_for = None
        self.save(members)

    def retire(self, members: Sequence[OwnedActor], why: str) -> list[OwnedActor]:
        """Retire rows that have no work any more, each where its chart is at rest; return those that were ours.

        Inside a transaction that fails afterwards they are gone from here all the same, and found again as left over.
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
        """Give all rows back, so that other processes take them at once."""
        for member in self:
            member.undo()
            member.actor.owner, member.actor.waiting_for = "", None
        self.save(list(self))
        self._members.clear()


def _stands(member: OwnedActor, row: Actor | None) -> bool:
    return row is not None and row.epoch == member.epoch
