"""Make the trades a hypertable with columnstore and continuous aggregates, where the server's TimescaleDB can.

On plain PostgreSQL nothing is done, and `manage.py timescale` does it later, once the server can. That command runs
the definitions of its day (datastore/sql/engines); this migration runs those that fit the tables as they are here.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

from datastore.db.sql_files import script
from datastore.engines.edition import CONVERTIBLE, Case, timescale_edition
from datastore.engines.rollups import CannotConvert, convert, convert_back


def forwards(apps: Any, schema_editor: Any) -> None:
    if timescale_edition().case in CONVERTIBLE:
        try:
            convert(script("migrations/0002_timescale"))
        except CannotConvert:
            pass  # of the Apache edition, which shows only once the extension is made; or this role may not make it


def backwards(apps: Any, schema_editor: Any) -> None:
    if timescale_edition().case is Case.CONVERTED:
        convert_back(script("migrations/0002_timescale_undo"))


class Migration(migrations.Migration):
    replaces = [("datastore", "0014_timescale")]
    dependencies = [("datastore", "0001_first_release")]
    operations = [migrations.RunPython(forwards, backwards)]
