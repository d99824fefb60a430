"""Run SQL on Django's connection. Every function raises DatabaseError if the statement fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db import connection, transaction
from psycopg import IsolationLevel
from psycopg.pq import ExecStatus

COPY_BLOCK_BYTES = 65_536


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


def copy_out(statement: str, parameters: Any = ()) -> Iterator[bytes]:
    """Yield what a COPY … TO STDOUT sends, in blocks of whole rows of about 64 KiB."""
    connection.ensure_connection()
    link = connection.connection
    with connection.wrap_database_errors, link.cursor() as cursor, cursor.copy(statement, parameters) as copy:
        next_row, block = link.pgconn.get_copy_data, bytearray()
        while True:
            # psycopg's own loop costs five times as much a row: it only waits for what has not arrived yet.
            length, arrived = next_row(1)
            row = arrived if length > 0 else copy.read() if length == 0 else b""
            if not row:
                break
            block += row
            if len(block) >= COPY_BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        while result := link.pgconn.get_result():
            if result.status == ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
        if block:
            yield bytes(block)


def fetch_value(statement: str, parameters: Any = ()) -> Any:
    """Return the single value of a statement that returns one row with one column."""
    ((value,),) = fetch_all(statement, parameters)
    return value


def execute_many(statement: str, rows: Sequence[Any]) -> None:
    """Run a statement once per row of parameters, in one round trip."""
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def execute(statement: str, parameters: Any = ()) -> None:
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
