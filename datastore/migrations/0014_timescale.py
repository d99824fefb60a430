"""Make the trades a hypertable with columnstore and continuous aggregates, where the server's TimescaleDB can.

On plain PostgreSQL nothing is done, and `manage.py timescale` does it later, once the server can.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

from datastore.engines.edition import TURNABLE, Case, timescale_edition
from datastore.engines.rollups import CannotConvert, convert, convert_back


def forwards(apps: Any, schema_editor: Any) -> None:
    if timescale_edition().case in TURNABLE:
        try:
            convert()
        except CannotConvert:
            pass  # of the Apache edition, which shows only once the extension is made; or this role may not make it


def backwards(apps: Any, schema_editor: Any) -> None:
    if timescale_edition().case is Case.CONVERTED:
        convert_back()


class Migration(migrations.Migration):
    dependencies = [("datastore", "0013_bounds")]
    operations = [migrations.RunPython(forwards, backwards)]
