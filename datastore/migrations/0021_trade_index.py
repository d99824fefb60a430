"""Trades have an index by market and time in place of their key; plain PostgreSQL only.

A big table takes about a second per million trades, during which trades can be written and read. Ended in between, it
begins again. A hypertable keeps its key (datastore/sql/engines/timescale.sql).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import migrations, models, transaction

from datastore.db.index_builds import build_index
from datastore.db.queries import execute, run_script
from datastore.db.sql_files import script, statement
from datastore.engines.edition import timescale_edition
from datastore.engines.timescale import retry_while_locked


def forwards(apps: Any, schema_editor: Any) -> None:
    if not timescale_edition().converted:
        build_index("tick", script("migrations/0021_trade_index"))
        retry_while_locked(partial(_impatiently, "alter table tick drop constraint if exists tick_pkey"))


def backwards(apps: Any, schema_editor: Any) -> None:
    if not timescale_edition().converted:
        retry_while_locked(partial(_impatiently, script("migrations/0021_trade_index_undo")))


def _impatiently(command: str) -> None:
    with transaction.atomic():
        execute(statement("rollups", "impatient"))
        run_script(command)


class Migration(migrations.Migration):
    atomic = False  # an index is built beside writers only outside a transaction
    dependencies = [("datastore", "0020_added_candles")]
    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunPython(forwards, backwards)],
            [
                migrations.AddIndex(
                    model_name="tick", index=models.Index(fields=["market", "ts"], name="tick_market_ts")
                )
            ],
        )
    ]
