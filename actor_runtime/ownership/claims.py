"""Which process owns which row.

A process takes a row of its role that is free or stale; a taken row's epoch goes up, so that its old owner's next
write fails. What the old owner left half done ends through the chart: failure event, then RESET.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models.functions import Now

from actor_runtime.charts import failure_event, label
from actor_runtime.errors import Fenced
from actor_runtime.manual_reset import actor_models
from actor_runtime.models import ERROR, Actor, with_silence
from actor_runtime.ownership.process_identity import is_gone
from actor_runtime.transition_log import note_takeover

STALE_AFTER = timedelta(seconds=10)
ABANDONED_AFTER = timedelta(minutes=1)
NEXT_ROW_AFTER = 15.0  # seconds: long enough for a dead owner's row to become stale first
FREE = "given back by its owner"
SURPLUS_AFTER = timedelta(hours=1)


def claim(model: type[Actor], role: str, me: str) -> Actor | None:
    """Take the first free or stale row of the role; None where there is none to take."""
    for row in rows_of(model, role):
        if row.retired_at is None and (reason := takeable(row)) is not None:
            with suppress(Fenced, model.DoesNotExist):  # somebody got there first
                return take_over(model, row, reason, owner=me, by=me)
    return None


def rows_of(model: type[Actor], role: str) -> list[Any]:
    """Return the rows of a role, by number, each with its `silence`."""
    found = model._default_manager.filter(name__regex=rf"^{re.escape(role)}-[0-9]+$")
    return sorted(with_silence(found), key=_number)


def _number(row: Actor) -> int:
    return int(row.name.rpartition("-")[2])


def takeable(row: Any, gone: Callable[[str], bool] = is_gone) -> str | None:
    """Return why the row may be taken, None where its owner lives."""
    if not row.owner:
        return FREE
    if gone(row.owner):
        return f"{row.owner} no longer exists"
    if row.silence is None or row.silence > STALE_AFTER:
        return f"{row.owner} gave no sign of life for {row.silence and round(row.silence.total_seconds())} s"
    return None


def take_over(model: type[Actor], seen: Any, reason: str, owner: str, by: str) -> Actor:
    """Give a row that was seen free or stale a new owner. Raises Fenced where somebody got there first."""
    with model.locked(seen.name, epoch=seen.epoch) as actor:
        if (actor.owner, actor.heartbeat_at) != (seen.owner, seen.heartbeat_at):
            raise Fenced  # the owner gave a sign of life in between
        _hand_over(actor, owner)
        _recover(actor, reason, by)
    return actor


def steal_between_turns(model: type[Actor], seen: Any, reason: str, me: str) -> Actor:
    """Take a row from an owner that lives, between two pieces of its work. Raises Fenced where it is at one."""
    with model.locked(seen.name, epoch=seen.epoch) as actor:
        if not is_idle_state(model, str(actor.state)):
            raise Fenced
        _hand_over(actor, me)
        note_takeover(actor, reason=reason, by=me, died=False)
    return actor


def is_idle_state(model: type[Actor], state: str) -> bool:
    """Say whether an actor in this state has nothing half done."""
    return state != ERROR and failure_event(model, state) is None


def _hand_over(actor: Actor, owner: str) -> None:
    actor.owner = owner
    actor.epoch += 1
    actor.waiting_for = None


def _recover(actor: Actor, reason: str, me: str) -> None:
    """End what the last owner left half done, through the chart."""
    state = str(actor.state)
    failure = failure_event(type(actor), state)
    if reason != FREE or failure:
        note_takeover(actor, reason=reason, by=me)
    if failure:
        getattr(actor, failure)(reason=f"abandoned in {label(type(actor), state)}", by=me)
        actor.reset(by=f"takeover by {me}")  # type: ignore[attr-defined]  # every chart has RESET


def abandoned_claims(claims: Iterable[str]) -> set[str]:
    """Return those of these claims (name@epoch) that ended: another process has the row, or its own is gone."""
    wanted = {claim: claim.rpartition("@") for claim in claims}
    names = {name for name, at, _ in wanted.values() if at}
    rows = [
        row
        for model in (actor_models() if names else ())
        for row in model._default_manager.filter(name__in=names).values_list("name", "epoch", "owner")
    ]
    standing = {f"{name}@{epoch}" for name, epoch, owner in rows if not is_gone(owner)}
    known = {name for name, _, _ in rows}
    return {claim for claim, (name, _, _) in wanted.items() if name in known} - standing


def add_row(model: type[Actor], role: str, me: str) -> Actor | None:
    """Make the next row of the role and own it; None where another process was quicker."""
    rows = rows_of(model, role)
    for row in rows:
        if row.retired_at and model._default_manager.filter(pk=row.pk, retired_at=row.retired_at).update(
            retired_at=None, owner=""
        ):
            return claim(model, role, me)
    name = f"{role}-{max(map(_number, rows), default=0) + 1}"
    with suppress(IntegrityError):
        model._default_manager.create(name=name, epoch=1, owner=me, heartbeat_at=Now())
        return model._default_manager.get(name=name)
    return None


def roles_of(model: type[Actor]) -> list[str]:
    """Return the roles whose rows some process has owned and nobody has retired."""
    rows = model._default_manager.filter(retired_at=None, heartbeat_at__isnull=False)
    return sorted({name.rpartition("-")[0] for name in rows.values_list("name", flat=True)})


def free_abandoned(model: type[Actor], role: str, by: str) -> int:
    """Give back, through the chart, the rows whose owner has been silent for a minute; return how many.

    By then no process of the role wanted them: they would show an owner, and a state, that no longer are.
    """
    freed = 0
    for row in rows_of(model, role):
        if row.retired_at is None and row.owner and row.silence and row.silence > ABANDONED_AFTER:
            with suppress(Fenced, model.DoesNotExist):  # somebody got there first
                take_over(model, row, f"{row.owner} gave no sign of life", owner="", by=by)
                freed += 1
    return freed


def retire_surplus(model: type[Actor], role: str) -> int:
    """Retire the rows beyond the first that nobody has owned for an hour; return how many."""
    surplus = [
        row.pk for row in rows_of(model, role)[1:] if not row.owner and row.silence and row.silence > SURPLUS_AFTER
    ]
    rows = model._default_manager.filter(pk__in=surplus, owner="", retired_at=None)
    return rows.update(retired_at=Now())
