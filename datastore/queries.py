"""Statements on Django's connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection


def fetch_all(statement: str, parameters: Any = ()) -> list[Any]:
    """Return all rows of a statement as tuples."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows


def fetch_beside(statement: str, parameters: Any, meanwhile: Callable[[], None]) -> list[Any]:
    """Return all rows of a statement, having called meanwhile() while the server worked on it."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline(), connection.connection.cursor() as cursor:
        cursor.execute(statement, parameters)  # in pipeline mode this sends and does not wait
        meanwhile()
        rows: list[Any] = cursor.fetchall()
    return rows


def fetch_value(statement: str, parameters: Any = ()) -> Any:
    """Return the only column of a statement's only row."""
    ((value,),) = fetch_all(statement, parameters)
    return value


def execute(statement: str, parameters: Any = ()) -> None:
    """Run a statement that returns no rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
