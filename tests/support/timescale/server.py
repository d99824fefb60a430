"""A TimescaleDB server to try ourselves on: the one that TIMESCALE_URL names, in databases of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from uuid import uuid4

import environ
import psycopg
from django.core.management import call_command
from django.db import connections

from config.database.base import DatabaseWrapper
from tests.support.polling import until

URL = os.environ.get("TIMESCALE_URL", "")
On = Callable[[str], AbstractContextManager[None]]
HOW = "set TIMESCALE_URL to a PostgreSQL that has TimescaleDB's community edition loaded"


def admin(database: str = "") -> psycopg.Connection[tuple[object, ...]]:
    """Connect beside Django; each statement commits by itself."""
    return psycopg.connect(url_of(database) if database else URL, autocommit=True)


def url_of(database: str) -> str:
    """Return the address of another database of the server."""
    return URL.rpartition("/")[0] + "/" + database


@contextmanager
def database(template: str | None = None) -> Iterator[str]:
    """Make a database, and drop it afterwards."""
    name = f"ck_{uuid4().hex[:12]}"
    # TimescaleDB's own scheduler looks into the template now and then; while it does, nobody can copy it.
    until("the database is made", lambda: _made(name, template or "template1"), 60)
    try:
        yield name
    finally:
        with admin() as link:
            link.execute(f"drop database {name} with (force)")


def _made(name: str, template: str) -> bool:
    with admin() as link, suppress(psycopg.errors.ObjectInUse):
        link.execute(f"create database {name} template {template}")
        return True
    return False


@contextmanager
def speaking_to(name: str, **otherwise: str) -> Iterator[None]:
    """Let Django's connection of this thread be one to this database; otherwise: settings such as USER."""
    own = connections["default"]
    parts = {**own.settings_dict, "HOST": "", "PORT": "", **environ.Env.db_url_config(url_of(name)), **otherwise}
    connections["default"] = DatabaseWrapper(parts, "default")
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            connections["default"].close()
        connections["default"] = own


def make_schema(name: str) -> None:
    """Migrate an empty database."""
    with speaking_to(name):
        call_command("migrate", verbosity=0, interactive=False)
