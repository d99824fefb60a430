"""Epoch-checked writes of actor rows: one statement and one round trip each, however many actors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

from django.db import connection, transaction
from psycopg import sql

from actor_runtime.errors import Fenced
from actor_runtime.journal.transition_buffer import BufferedTransition, TransitionBuffer

_SQL_FOLDER = Path(__file__).resolve().parent.parent / "sql"


class ActorRow(Protocol):
    """The columns that are written: those of models.Actor, which imports this module and so cannot be imported here."""

    name: Any
    state: Any
    epoch: Any
    owner: Any
    waiting_for: Any
    last_error: Any
    last_error_at: Any
    recovered_at: Any
    error_count: Any
    reset_at: Any
    retired_at: Any
    _meta: ClassVar[Any]

    @property
    def journal(self) -> TransitionBuffer:
        """The actor's transitions that are not yet stored."""


@cache
def _statement(name: str, table: str) -> str:
    """Return sql/<name>.sql for one chart's table."""
    text = (_SQL_FOLDER / f"{name}.sql").read_text()
    # Only the table's name differs between charts, and psycopg quotes it.
    return sql.SQL(text).format(table=sql.Identifier(table)).as_string(None)


def store(actor: ActorRow, epoch: int, *, beats: bool = False) -> None:
    """Write the actor's row and its pending transitions. Raises Fenced if the row no longer has `epoch`.

    Joins an open transaction, and the transitions count as saved only once that has committed. `beats` renews the
    heartbeat too, which only the owner may do; a new owner's first save always does.
    """
    if not _store([actor], [epoch], beats):
        raise Fenced


def store_all(actors: Sequence[ActorRow]) -> set[str]:
    """Write the rows of these actors of one chart, as their owner; return the names of those that were written.

    The others were taken over, and nothing of theirs is written. Joins an open transaction as store() does.
    """
    return _store(actors, [actor.epoch for actor in actors], True) if actors else set()


def store_locked(actors: Sequence[ActorRow], epochs: Sequence[int]) -> None:
    """Write the rows of these actors of one chart, which the caller has locked and found at these epochs."""
    if actors and len(_store(actors, epochs, False)) < len(actors):
        raise Fenced


def beat_all(actors: Sequence[ActorRow]) -> set[str]:
    """Renew the heartbeats of these actors of one chart; return the names of those that still have this owner."""
    if not actors:
        return set()
    values: dict[str, Any] = {
        "names": [actor.name for actor in actors],
        "epochs": [actor.epoch for actor in actors],
        "waits": [actor.waiting_for for actor in actors],
    }
    with connection.cursor() as cursor:
        cursor.execute(_statement("beat", actors[0]._meta.db_table), values)
        return {name for name, _ in cursor.fetchall()}


def beat(actor: ActorRow) -> None:
    """Renew the heartbeat of the actor's row. Raises Fenced."""
    if not beat_all([actor]):
        raise Fenced


def _store(actors: Sequence[ActorRow], epochs: Sequence[int], beats: bool) -> set[str]:
    joins = connection.in_atomic_block
    renewed = [beats or actor.epoch != epoch for actor, epoch in zip(actors, epochs, strict=True)]
    entries: list[tuple[str, BufferedTransition]] = [
        (actor.name, entry) for actor in actors for entry in actor.journal.rows()
    ]
    values = (
        _row_values(actors)
        | {
            "actors": [name for name, _ in entries],
            "events": [entry.event for _, entry in entries],
            "sources": [entry.source for _, entry in entries],
            "targets": [entry.target for _, entry in entries],
            "minutes": [entry.minute for _, entry in entries],
            "counts": [entry.count for _, entry in entries],
            "firsts": [entry.first_at for _, entry in entries],
            "lasts": [entry.last_at for _, entry in entries],
            "reasons": [entry.reason for _, entry in entries],
            "bys": [entry.by for _, entry in entries],
        }
        | {"epochs": list(epochs), "beats": renewed, "relaxed": not joins}
    )
    with connection.cursor() as cursor:
        cursor.execute(_statement("store", actors[0]._meta.db_table), values)
        written = set(cursor.fetchone()[0])
    for actor in actors:
        if actor.name in written:
            actor.journal.saved(joins)
            if joins:
                transaction.on_commit(actor.journal.committed)
    return written


def _row_values(actors: Sequence[ActorRow]) -> dict[str, Any]:
    return {
        "kind": actors[0]._meta.model_name,
        "names": [actor.name for actor in actors],
        "states": [str(actor.state) for actor in actors],
        "new_epochs": [actor.epoch for actor in actors],
        "owners": [actor.owner for actor in actors],
        "waits": [actor.waiting_for for actor in actors],
        "last_errors": [actor.last_error for actor in actors],
        "last_error_ats": [actor.last_error_at for actor in actors],
        "recovered_ats": [actor.recovered_at for actor in actors],
        "error_counts": [actor.error_count for actor in actors],
        "reset_ats": [actor.reset_at for actor in actors],
        "retired_ats": [actor.retired_at for actor in actors],
    }
