"""Which statements of SQL take the time of the database, as far as it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, transaction

from actor_runtime.redaction import without_secrets
from actor_runtime.reset_policy import reason_of
from datastore.db.queries import fetch_all, fetch_value
from datastore.db.sql_files import statement

HOW = (
    "The extension pg_stat_statements is not in this database. To see slow statements, add it to "
    "shared_preload_libraries, restart PostgreSQL, then CREATE EXTENSION pg_stat_statements."
)


@dataclass(frozen=True, slots=True)
class Running:
    """A statement that has run for over a second."""

    since: datetime
    application: str
    text: str


@dataclass(frozen=True, slots=True)
class Slow:
    """A statement and the seconds that it took."""

    calls: int
    total: float
    mean: float
    text: str


@dataclass(frozen=True, slots=True)
class Statements:
    """What takes time; unknown: why `slow` is not known."""

    running: list[Running]
    slow: list[Slow]
    unknown: str = ""


def statements() -> Statements:
    """Return what runs for long now, and what took the most time."""
    rows = fetch_all(statement("system", "running"))
    running = [Running(since, application, without_secrets(text)) for since, application, text in rows]
    if not fetch_value(statement("system", "has_statistics")):
        return Statements(running, [], HOW)
    try:
        with transaction.atomic():  # it may exist without being loaded: a failure must not end our transaction
            found = fetch_all(statement("system", "slow"))
    except DatabaseError as exc:
        return Statements(running, [], f"pg_stat_statements does not answer: {reason_of(exc)}")
    slow = [Slow(calls, total / 1000, mean / 1000, without_secrets(text)) for calls, total, mean, text in found]
    return Statements(running, slow)
