"""Databases whose migrations were squashed before the first release: all of them, or a clear refusal."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config.supervision import first_start
from config.supervision.errors import StartError
from config.supervision.squashed_migrations import missing_migrations

pytestmark = pytest.mark.django_db

NEW = {("datastore", "0001_first_release"), ("datastore", "0002_timescale"), ("consumers", "0001_first_release")}


def forget(*migrations: tuple[str, str]) -> None:
    """Let a database not have these migrations."""
    for app, name in migrations:
        MigrationRecorder(connection).record_unapplied(app, name)


def test_a_new_database_is_whole() -> None:
    assert missing_migrations() == []


def test_a_database_with_every_old_migration_counts_as_migrated() -> None:
    forget(*NEW)
    assert missing_migrations() == []
    out = io.StringIO()
    call_command("migrate", skip_checks=False, stdout=out)
    assert "No migrations to apply" in out.getvalue()
    assert MigrationRecorder(connection).applied_migrations().keys() >= NEW


@pytest.mark.parametrize(
    "lacking",
    [
        ("datastore", "0015_coverage_changes"),
        ("datastore", "0001_initial"),
        ("consumers", "0002_dynamic_consumer_at_work"),
    ],
)
def test_a_database_with_some_of_them_is_refused(lacking: tuple[str, str]) -> None:
    forget(*NEW, lacking)
    name = ".".join(lacking)
    with pytest.raises(SystemCheckError, match=rf"before the first release and lacks {name}\.\n.*Check out"):
        call_command("migrate", skip_checks=False, verbosity=0)
    with pytest.raises(StartError, match=rf"lacks {name}\. Check out the last commit"):
        first_start.migrate()
