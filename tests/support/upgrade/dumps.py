"""The dumps of tests/datastore/dumps: how they are loaded, and what is compared of a database."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg import sql

from datastore.db.queries import fetch_all
from tests.support.database_server import DatabaseServer

FOLDER = Path(__file__).resolve().parents[2] / "datastore" / "dumps"
TABLES = (
    "select c.relname, array_agg(a.attname::text order by a.attnum) from pg_class c"
    " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
    " where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') group by 1 order by 1"
)
# `migrate` may add rows to these.
GROWING = {"auth_permission", "django_content_type", "django_migrations"}
# What a migration drops, because nothing has a use for it any more, or gives another meaning (tested by itself).
DROPPED = {"provider_clock": {"floor", "provider"}}

Tables = dict[str, list[str]]  # the columns by the table's name


@dataclass(frozen=True, slots=True)
class Dump:
    """A database of a release."""

    name: str

    @property
    def script(self) -> Path:
        """Return the file of its SQL."""
        return FOLDER / f"{self.name}.sql.gz"

    @property
    def answers(self) -> Path:
        """Return the file of what it answered."""
        return FOLDER / f"{self.name}.json"

    @property
    def conversion(self) -> Path:
        """Return the file of the SQL that made its trades a hypertable in that release."""
        return FOLDER / f"{self.name}_timescale.sql"

    def answered(self) -> Any:
        """Return what it answered."""
        return json.loads(self.answers.read_text())

    def load(self, server: DatabaseServer, database: str) -> None:
        """Fill an empty database with it."""
        with server.admin(database) as link:
            link.execute(gzip.decompress(self.script.read_bytes()))


def dumps() -> list[Dump]:
    """Return all dumps, by name."""
    return [Dump(path.name.removesuffix(".sql.gz")) for path in sorted(FOLDER.glob("*.sql.gz"))]


def tables() -> Tables:
    """Return the tables that there are, without columns that a migration drops."""
    found = dict(fetch_all(TABLES))
    return {table: [one for one in columns if one not in DROPPED.get(table, ())] for table, columns in found.items()}


def rows(of: Tables) -> dict[str, list[str]]:
    """Return the rows of these columns as text, sorted, by table."""
    found = {}
    for table, columns in of.items():
        query = sql.SQL("select row({})::text from {} order by 1").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            found[table] = [text for (text,) in cursor.fetchall()]
    return found


def assert_kept(of: Tables, before: dict[str, list[str]]) -> None:
    """Compare the rows with those from before; only some of Django's own tables may have more."""
    for table, now in rows(of).items():
        lost, new = Counter(before[table]) - Counter(now), Counter(now) - Counter(before[table])
        assert not lost and (not new or table in GROWING), (table, lost, new)
