"""Run SQL on Django's connection. Every function raises DatabaseError if the statement fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db import connection, transaction
from psycopg import IsolationLevel
from psycopg.sql import Composable
from psycopg.types.string import ByteaBinaryLoader


def fetch_all(statement: str, parameters: Any = ()) -> list[Any]:
    """Return all rows of a statement, as tuples."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows


def fetch_while_running(statement: str, parameters: Any, work: Callable[[], None]) -> list[Any]:
    """Return all rows of a statement; call work() while the server runs it."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline(), connection.connection.cursor() as cursor:
        cursor.execute(statement, parameters)  # in pipeline mode this sends without waiting
        work()
        rows: list[Any] = cursor.fetchall()
    return rows


def fetch_stepwise(statement: str, parameters: Any = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a statement as the server sends them; texts as bytes. What is not read to the end is ended."""
    connection.ensure_connection()
    link = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(link) as cursor:
        cursor.adapters.register_loader("text", ByteaBinaryLoader)
        yield from cursor.stream(statement, parameters, binary=True)


def fetch_value(statement: str, parameters: Any = ()) -> Any:
    """Return the single value of a statement that returns one row with one column."""
    ((value,),) = fetch_all(statement, parameters)
    return value


def execute_many(statement: str, rows: Sequence[Any]) -> None:
    """Run a statement once per row of parameters, in one round trip."""
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def execute(statement: str | Composable, parameters: Any = ()) -> None:
    """Run a statement that returns no rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def run_script(text: str) -> None:
    """Run one or more statements without parameters."""
    with connection.cursor() as cursor:
        cursor.execute(text)


@contextmanager
def snapshot(max_idle_s: int = 0) -> Iterator[None]:
    """Make all statements see the same snapshot; inside a caller's transaction the caller's isolation applies.

    max_idle_s: the server ends a session that sends no statement for so many seconds; 0: however long.
    """
    if connection.in_atomic_block:
        yield
        return
    with ExitStack() as cleanup, transaction.atomic():
        link = connection.connection
        cleanup.callback(_isolate, link, link.isolation_level, link.read_only)
        # psycopg makes these a part of its BEGIN, so they need no statement of their own.
        _isolate(link, IsolationLevel.REPEATABLE_READ, True)
        if max_idle_s:
            execute(f"set local idle_in_transaction_session_timeout = '{max_idle_s}s'")
        yield


def _isolate(link: psycopg.Connection[Any], level: IsolationLevel | None, read_only: bool | None) -> None:
    if not link.closed:
        link.isolation_level, link.read_only = level, read_only
