"""Load the functions of datastore/sql."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql" / "schema"
FILES = ("tables", "time", "candles", "coverage")


def load(name: str) -> migrations.RunSQL:
    """Run a file's text as it stands; its `_undo` takes it back."""
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(), (SQL / f"{name}_undo.sql").read_text())


class Migration(migrations.Migration):
    dependencies = [("datastore", "0002_market_data")]
    operations = [load(name) for name in FILES]
