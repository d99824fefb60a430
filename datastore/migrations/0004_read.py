"""Load the functions of the read."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("datastore", "0003_functions")]
    operations = [migrations.RunSQL((SQL / "read.sql").read_text(), (SQL / "read_undo.sql").read_text())]
