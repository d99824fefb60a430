"""A PostgreSQL server on which a test makes databases of its own, and lets Django speak to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import environ
import psycopg
from django.core.management import call_command
from django.db import connections

from config.database.base import DatabaseWrapper
from tests.support.polling import until


class DatabaseServer:
    """The server of an address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def admin(self, database: str = "") -> psycopg.Connection[tuple[object, ...]]:
        """Connect without Django; each statement commits by itself."""
        return psycopg.connect(self.url_of(database) if database else self.url, autocommit=True)

    def url_of(self, database: str) -> str:
        """Return the address of another database of the server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """Make a database, and drop it afterwards."""
        name = f"ck_{uuid4().hex[:12]}"
        # TimescaleDB's own scheduler looks into the template now and then; while it does, nobody can copy it.
        until("the database is made", lambda: self._made(name, template or "template1"), 60)
        try:
            yield name
        finally:
            with self.admin() as link:
                link.execute(f"drop database {name} with (force)")

    def _made(self, name: str, template: str) -> bool:
        with self.admin() as link, suppress(psycopg.errors.ObjectInUse):
            link.execute(f"create database {name} template {template}")
            return True
        return False

    @contextmanager
    def speaking_to(self, name: str, **otherwise: str) -> Iterator[None]:
        """Let Django's connection of this thread be one to this database; otherwise: settings such as USER."""
        own = connections["default"]
        parts = {
            **own.settings_dict,
            "HOST": "",
            "PORT": "",
            **environ.Env.db_url_config(self.url_of(name)),
            **otherwise,
        }
        connections["default"] = DatabaseWrapper(parts, "default")
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                connections["default"].close()
            connections["default"] = own

    def make_schema(self, name: str) -> None:
        """Migrate an empty database."""
        with self.speaking_to(name):
            call_command("migrate", verbosity=0, interactive=False)
