"""The SQL functions, made as datastore/sql/functions has them at the end of every `migrate`.

So their files are edited like any other code, and no migration carries a copy. It follows that a migration

- finds the functions of the version before on an existing database and none on a new one, so it calls none;
- that changes a column which a function uses drops that function first (`drop function if exists`): it is made again
  here;
- that needs a function in an index, a constraint or a generated column makes it in its own numbered SQL, under a name
  of its own, for it could not be replaced here while a table depends on it.

Each function is marked by a comment with the digest of all files: where every mark is today's, nothing is done.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db import ProgrammingError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from datastore.db.queries import execute, fetch_all, fetch_value, run_script
from datastore.db.sql_files import script, statement

FILES = (  # in order
    "time",
    "steady_time",
    "provider_time",
    "candles",
    "trades",
    "coverage",
    "stored_ids",
    "wrong_claims",
    "history",
    "stored_rows",
    "heads",
    "market_facts",
    "verify",
)
MARK = "datastore/sql/functions "  # the undo of the first migration knows it too
_CREATE = re.compile(r"^create or replace function (\w+)\(([^)]*)\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Found:
    made: str
    comment: str


def make_functions(**signal: Any) -> None:
    """Bring the functions up to date in one transaction, once all migrations are applied; a receiver of post_migrate.

    Raise InternalError if a view or a table depends on one that must be dropped.
    """
    text = "\n".join(script(f"functions/{name}") for name in FILES)
    mark = MARK + sha256(text.encode()).hexdigest()
    with transaction.atomic():
        execute(statement("functions", "lock"))
        before = _found()
        marked = {oid: one.comment for oid, one in before.items() if one.comment.startswith(MARK)}
        if list(marked.values()) == [mark] * len(_CREATE.findall(text)) or _migrations_are_pending():
            return
        try:
            with transaction.atomic():
                run_script(text)
        except ProgrammingError:
            # A function whose result or parameters have changed cannot be replaced, only dropped and made. Databases
            # from before the marks have some that bear none.
            _drop(marked.keys() | _made_before(text))
            run_script(text)
        made = [oid for oid, one in _found().items() if before.get(oid) != one]
        _drop(marked.keys() - made)
        run_script(fetch_value(statement("functions", "mark"), {"oids": made, "mark": mark}))


def note_boot(**signal: Any) -> None:
    """Let steady time be counted from this boot of the database's machine on; a receiver of post_migrate."""
    if fetch_value("select to_regproc('keep_steady_time') is not null") and not _migrations_are_pending():
        fetch_value("select keep_steady_time()")


def _found() -> dict[int, _Found]:
    return {oid: _Found(made, comment) for oid, made, comment in fetch_all(statement("functions", "found"))}


def _made_before(text: str) -> set[int]:
    """Return those functions of the database that have a name and argument types of the text's."""
    signatures = []
    for name, parameters in _CREATE.findall(text):
        types = [parameter.split(None, 1)[1] for parameter in parameters.split(",") if parameter.strip()]
        signatures.append(f"{name}({', '.join(types)})")
    return set(fetch_value(statement("functions", "like"), {"signatures": signatures}) or ())


def _migrations_are_pending() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes("datastore")))


def _drop(oids: Collection[int]) -> None:
    if command := fetch_value(statement("functions", "drop"), {"oids": list(oids)}):
        run_script(command)
