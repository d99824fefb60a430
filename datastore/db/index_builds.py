"""Build indexes beside writers: nobody waits for a build, one that was ended can be started again, and it says how far
it is. Nothing here may run inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import structlog
from django.db import DatabaseError, connection
from psycopg import sql

from datastore.db.queries import execute, fetch_all, run_script
from datastore.db.sql_files import statement

PROGRESS_EVERY_S = 5.0
log = structlog.get_logger(__name__)


def build_index(table: str, command: str) -> None:
    """Run a command that builds an index of this table concurrently, and log its progress.

    What an earlier build left behind when it was ended is dropped first: it takes space and serves nobody.
    """
    for schema, index in fetch_all(statement("indexes", "invalid"), {"table": table}):
        log.info("half-built index dropped", index=index)
        execute(sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, index)))
    with _logged_progress(table):
        run_script(command)


@contextmanager
def _logged_progress(table: str) -> Iterator[None]:
    """Log every few seconds how far the build is, as another connection sees it."""
    done = Event()

    def watch() -> None:
        other = connection.copy()
        try:
            while not done.wait(PROGRESS_EVERY_S):
                with other.cursor() as cursor:
                    cursor.execute(statement("indexes", "progress"), {"table": table})
                    for phase, percent in cursor.fetchall():
                        log.info("building an index", table=table, phase=phase, percent=percent)
        except DatabaseError as exc:
            log.info("progress of an index is not known", table=table, reason=str(exc))
        finally:
            other.close()

    watcher = Thread(target=watch, name="index progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def note_on_index(index: str, note: str) -> None:
    """Keep a note with an index, in place of the one before; it lives as long as the index."""
    execute(sql.SQL("comment on index {} is {}").format(sql.Identifier(index), sql.Literal(note)))
