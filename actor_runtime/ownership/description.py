"""What an actor's row says to people: whether its process lives, what it waits for, and what a person must do."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import QuerySet

from actor_runtime.charts import label
from actor_runtime.models import with_silence
from actor_runtime.ownership.claims import HEARTBEAT_TIMEOUT

MAX_DESCRIBED = 3  # actors


def active_rows(kind: tuple[str, str], **having: str) -> QuerySet[Any]:
    """Return the actors of a kind (app label, model) that are not retired and have these values, with `silence`."""
    rows = apps.get_model(*kind)._default_manager.filter(retired_at=None, **having)
    return with_silence(rows).order_by("name")


def describe_all(rows: QuerySet[Any], none: str) -> str:
    """Return a sentence about the first three actors; `none` if there is no row."""
    return ", ".join(map(describe, rows[:MAX_DESCRIBED])) or none


def describe(actor: Any) -> str:
    """Return the actor's state, whether its owner lives, what it waits for, its last error, and who ends an Error."""
    parts = [f"{actor.name} is in {label(type(actor), str(actor.state))}"]
    if not actor.owner:
        parts.append("no process has it")
    elif not is_alive(actor):
        parts.append("its process gives no sign of life")
    parts += [f"waits for: {actor.waiting_for}"] if actor.waiting_for else []
    parts += [f"last error: {actor.last_error}"] if actor.last_error and not actor.recovered_at else []
    parts += [f"a person must mend that, then run manage.py reset_actor {actor.name}"] if needs_person(actor) else []
    return f"{parts[0]} ({'; '.join(parts[1:])})" if parts[1:] else parts[0]


def is_alive(actor: Any) -> bool:
    """Return whether the actor has an owner that gave a sign of life within 10 s; its row comes from with_silence()."""
    return bool(actor.owner) and actor.silence is not None and actor.silence <= HEARTBEAT_TIMEOUT


def needs_person(actor: Any) -> bool:
    """Return whether the actor is in an Error that does not reset itself."""
    return bool(actor.in_error) and actor.reset_at is None
