"""Let the functions that read give ready text and fewer answers in place of rows."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql" / "schema"


def text(*names: str) -> str:
    """Return the files' text, one after the other."""
    return "\n".join((SQL / f"{name}.sql").read_text() for name in names)


class Migration(migrations.Migration):
    dependencies = [("datastore", "0009_pairs")]
    operations = [
        migrations.RunSQL(
            text("read_rows_undo", "read_text", "heads"), text("heads_undo", "read_text_undo", "read_rows")
        )
    ]
