"""Bound the times of the trades that a batch looks up: a hypertable then searches few of its chunks."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql" / "schema"


def again(name: str) -> migrations.RunSQL:
    """Let a file's functions take the place of those that an older version of it made; they do the same."""
    text = (SQL / f"{name}.sql").read_text().replace("create function", "create or replace function")
    return migrations.RunSQL(text, migrations.RunSQL.noop)


class Migration(migrations.Migration):
    dependencies = [("datastore", "0012_end_stream")]
    operations = [again("candles"), again("coverage")]
