"""Load the functions that read."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql" / "schema"


class Migration(migrations.Migration):
    dependencies = [("datastore", "0003_functions")]
    operations = [
        migrations.RunSQL((SQL / f"{name}.sql").read_text(), (SQL / f"{name}_undo.sql").read_text())
        for name in ("read", "read_rows", "verify")
    ]
