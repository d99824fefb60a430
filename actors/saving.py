"""Epoch-checked writes of actor rows: one statement and one round trip each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from psycopg import sql

from actors.errors import Fenced
from actors.journal import Entry

if TYPE_CHECKING:
    from actors.models import Actor

_SQL = Path(__file__).parent / "sql"


@cache
def _statement(name: str, table: str) -> str:
    """Return sql/<name>.sql for one chart's table."""
    text = (_SQL / f"{name}.sql").read_text()
    # Only the table's name differs between charts, and psycopg quotes it.
    return sql.SQL(text).format(table=sql.Identifier(table)).as_string(None)


def store(actor: Actor, epoch: int, *, beats: bool = False) -> None:
    """Write the actor's row and its pending transitions where the row still has `epoch`. Raises Fenced.

    Joins an open transaction: then the transitions count as saved only once it has committed. `beats` renews the
    heartbeat too: for the owner alone; a new owner's first save always does.
    """
    joins = connection.in_atomic_block
    entries = actor.journal.rows()
    values: dict[str, Any] = (
        _row(actor) | _log(entries) | {"epoch": epoch, "beats": beats or actor.epoch != epoch, "relaxed": not joins}
    )
    with connection.cursor() as cursor:
        cursor.execute(_statement("store", actor._meta.db_table), values)
        if cursor.fetchone()[0] == 0:
            raise Fenced
    _settle(actor, joins)


def _settle(actor: Actor, joined: bool) -> None:
    actor.journal.saved(joined)
    if joined:
        transaction.on_commit(actor.journal.committed)


def beat(actor: Actor) -> str:
    """Renew the heartbeat of the actor's row and return the state it holds. Raises Fenced."""
    values: dict[str, Any] = {"name": actor.name, "epoch": actor.epoch, "waiting_for": actor.waiting_for}
    with connection.cursor() as cursor:
        cursor.execute(_statement("beat", actor._meta.db_table), values)
        found = cursor.fetchone()
    if found is None:
        raise Fenced
    return str(found[0])


def _row(actor: Actor) -> dict[str, Any]:
    return {
        "kind": actor._meta.model_name,
        "name": actor.name,
        "state": str(actor.state),
        "new_epoch": actor.epoch,
        "owner": actor.owner,
        "waiting_for": actor.waiting_for,
        "last_error": actor.last_error,
        "error_count": actor.error_count,
        "reset_at": actor.reset_at,
        "retired_at": actor.retired_at,
    }


def _log(entries: list[Entry]) -> dict[str, list[Any]]:
    return {
        "events": [entry.event for entry in entries],
        "sources": [entry.source for entry in entries],
        "targets": [entry.target for entry in entries],
        "minutes": [entry.minute for entry in entries],
        "counts": [entry.count for entry in entries],
        "firsts": [entry.first_at for entry in entries],
        "lasts": [entry.last_at for entry in entries],
        "reasons": [entry.reason for entry in entries],
        "bys": [entry.by for entry in entries],
    }
