"""Statements on Django's connection."""

from __future__ import annotations

from typing import Any

from django.db import connection


def fetch_all(statement: str, parameters: Any = ()) -> list[Any]:
    """Return all rows of a statement as tuples."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
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
