"""Databases of development versions: their migrations were squashed before the first release.

Such a database has either all migrations that a new one replaces, and then counts as migrated, or some of them. Django
then leaves the new migration out without a word, so we refuse it.
"""

from __future__ import annotations

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

HINT = (
    "Check out the last commit that still has these files (`git log -1 --diff-filter=D -- <app>/migrations/<name>.py` "
    "shows the one that removed them), migrate there, then come back."
)


def missing_migrations() -> list[str]:
    """Return the replaced migrations that this database lacks while it has others of the same squash."""
    applied = MigrationRecorder(connection).applied_migrations()
    missing = []
    for migration in MigrationLoader(None).disk_migrations.values():
        absent = [key for key in migration.replaces if key not in applied]
        if len(absent) < len(migration.replaces):
            missing += [f"{app}.{name}" for app, name in absent]
    return missing


def refusal(missing: list[str]) -> str:
    """Return the sentence that says why such a database is refused."""
    return f"The database was made by a version from before the first release and lacks {', '.join(missing)}."
