from __future__ import annotations

import time

import psycopg
import pytest
from django.db import OperationalError, connection

from config.database import base
from config.database.base import WatchedConnection

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_connection_of_every_process_is_a_watched_one() -> None:
    connection.ensure_connection()
    assert isinstance(connection.connection, WatchedConnection)


def test_a_long_statement_of_a_living_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(base, "MAX_SILENCE_S", 0.1)
    monkeypatch.setattr(base, "database_refusal", lambda url: asked.append(url))
    with connection.cursor() as cursor:
        cursor.execute("select 7 from pg_sleep(0.8)")
        assert cursor.fetchone() == (7,)
    assert asked


def test_a_silent_server_that_takes_nobody_any_more_is_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_SILENCE_S", 0.1)
    monkeypatch.setattr(base, "database_refusal", lambda url: "timeout expired")
    began = time.monotonic()
    with pytest.raises(OperationalError, match="stopped answering: timeout expired"), connection.cursor() as cursor:
        cursor.execute("select pg_sleep(30)")
    assert time.monotonic() - began < 5
    connection.close()
    with connection.cursor() as cursor:
        # The statement would sleep on, and nobody could drop the database meanwhile.
        cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(30)'")
        assert cursor.fetchall() == [(True,)]


def test_an_error_of_the_server_comes_through_unchanged() -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.ensure_connection()
        connection.connection.execute("select 1 / 0")
