"""Which process owns which actor's row.

A process claims a row of its role that is free or whose owner is silent. The claim raises the row's epoch, so that the
old owner's next write fails. What the old owner left half done ends through the chart: failure event, then RESET.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import IntegrityError

from actor_runtime.charts import failure_event, label
from actor_runtime.errors import Fenced
from actor_runtime.models import ERROR, Actor, actor_models, with_silence
from actor_runtime.ownership.process_identity import is_gone
from actor_runtime.steady_time import SteadyNow
from actor_runtime.transition_log import note_takeover

HEARTBEAT_TIMEOUT = timedelta(seconds=10)
SILENT_OWNER_TIMEOUT = timedelta(minutes=1)
NEXT_ROW_AFTER_S = 15.0  # long enough for a dead owner's row to become stale first
RELEASED = "given back by its owner"
SURPLUS_ROW_AGE = timedelta(hours=1)


def claim(model: type[Actor], role: str, me: str) -> Actor | None:
    """Claim the first free or stale row of the role; return None if there is none."""
    for row in rows_of(model, role):
        if row.retired_at is None and (reason := reason_to_claim(row)) is not None:
            with suppress(Fenced, model.DoesNotExist):  # another process got there first
                return take_over(model, row, reason, owner=me, by=me)
    return None


def rows_of(model: type[Actor], role: str) -> list[Any]:
    """Return the rows of a role whose rows are interchangeable, by number, each with its `silence`."""
    return sorted(with_silence(model._default_manager.filter(role=role)), key=_number)


def _number(row: Actor) -> int:
    return int(row.name.rpartition("-")[2])


def reason_to_claim(row: Any, gone: Callable[[str], bool] = is_gone) -> str | None:
    """Return why the row may be claimed, None if its owner lives."""
    if not row.owner:
        return RELEASED
    if gone(row.owner):
        return f"{row.owner} no longer exists"
    if row.silence is None or row.silence > HEARTBEAT_TIMEOUT:
        return f"{row.owner} gave no sign of life for {row.silence and round(row.silence.total_seconds())} s"
    return None


def take_over(model: type[Actor], seen: Any, reason: str, owner: str, by: str) -> Actor:
    """Give a row seen as free or stale a new owner. Raises Fenced if another process got there first."""
    taken = take_over_all(model, [(seen, reason, False)], owner, by)
    if not taken:
        raise Fenced
    return taken[0]


def take_over_all(model: type[Actor], choices: Iterable[tuple[Any, str, bool]], owner: str, by: str) -> list[Actor]:
    """Give rows a new owner; return those that no other process got first.

    choices: each row as it was seen, why, and whether its owner lives: from a live one only an idle row is taken.
    As many statements for many rows as for one.
    """
    chosen = {seen.name: (seen, reason, alive) for seen, reason, alive in choices}
    if not chosen:
        return []
    taken: list[Actor] = []
    with model.locked_all(chosen) as actors:
        for actor in actors:
            seen, reason, alive = chosen[actor.name]
            if actor.epoch != seen.epoch:
                continue
            if alive:
                if is_idle_state(model, str(actor.state)):
                    _hand_over(actor, owner)
                    note_takeover(actor, reason=reason, by=by, died=False)
                    taken.append(actor)
            elif (actor.owner, actor.heartbeat_at) == (seen.owner, seen.heartbeat_at):  # no sign of life in between
                _take_from_the_dead(actor, reason, owner, by)
                taken.append(actor)
    return taken


def _take_from_the_dead(actor: Any, reason: str, owner: str, by: str) -> None:
    """Hand the row over, and end what the last owner left half done: through the chart, as its failure."""
    _hand_over(actor, owner)
    model: type[Actor] = type(actor)
    state = str(actor.state)
    failure = failure_event(model, state)
    if reason != RELEASED or failure:
        note_takeover(actor, reason=reason, by=by)
    if failure:
        getattr(actor, failure)(reason=f"abandoned in {label(model, state)}", by=by)
        actor.reset(by=f"takeover by {by}")


def is_idle_state(model: type[Actor], state: str) -> bool:
    """Return whether an actor in this state has left nothing half done."""
    return state != ERROR and failure_event(model, state) is None


def _hand_over(actor: Actor, owner: str) -> None:
    actor.owner = owner
    actor.epoch += 1
    actor.waiting_for = None


def abandoned_claims(claims: Iterable[str]) -> set[str]:
    """Return those claims (name@epoch) that have ended: the row has a later owner, or its owner's process is gone."""
    parts = {claim: claim.rpartition("@") for claim in claims}
    names = {name for name, at, _ in parts.values() if at}
    rows = [
        row
        for model in (actor_models() if names else ())
        for row in model._default_manager.filter(name__in=names).values_list("name", "epoch", "owner")
    ]
    valid = {f"{name}@{epoch}" for name, epoch, owner in rows if not is_gone(owner)}
    known = {name for name, _, _ in rows}
    return {claim for claim, (name, _, _) in parts.items() if name in known} - valid


def add_row(model: type[Actor], role: str, me: str) -> Actor | None:
    """Make the next row of the role and own it; return None if another process was quicker."""
    rows = rows_of(model, role)
    for row in rows:
        if row.retired_at and model._default_manager.filter(pk=row.pk, retired_at=row.retired_at).update(
            retired_at=None, owner=""
        ):
            return claim(model, role, me)
    name = f"{role}-{max(map(_number, rows), default=0) + 1}"
    with suppress(IntegrityError):
        model._default_manager.create(name=name, role=role, epoch=1, owner=me, heartbeat_at=SteadyNow())
        return model._default_manager.get(name=name)
    return None


def roles_of(model: type[Actor]) -> list[str]:
    """Return the roles with rows that are not retired and that a process has owned."""
    rows = model._default_manager.filter(retired_at=None, heartbeat_at__isnull=False)
    return sorted(rows.order_by().values_list("role", flat=True).distinct())


def free_abandoned(model: type[Actor], role: str, by: str) -> int:
    """Release, through the chart, the rows whose owner has been silent for a minute; return how many.

    If no process of the role has claimed them by then, nobody else would end the owner and the state that they show.
    """
    owned = model._default_manager.filter(role=role, retired_at=None).exclude(owner="")
    silent = [
        (row, f"{row.owner} gave no sign of life", False)
        for row in with_silence(owned).filter(silence__gt=SILENT_OWNER_TIMEOUT)
    ]
    return len(take_over_all(model, silent, owner="", by=by))


def retire_surplus(model: type[Actor], role: str) -> int:
    """Retire interchangeable rows, except the first, that have had no owner for an hour; return how many."""
    if not model.interchangeable:
        return 0
    surplus = [
        row.pk for row in rows_of(model, role)[1:] if not row.owner and row.silence and row.silence > SURPLUS_ROW_AGE
    ]
    rows = model._default_manager.filter(pk__in=surplus, owner="", retired_at=None)
    return rows.update(retired_at=SteadyNow())
