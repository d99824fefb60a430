"""Load the functions that store the provider's history, and count what its answers left out."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql" / "schema"


class Migration(migrations.Migration):
    dependencies = [("datastore", "0005_history_requests")]
    operations = [
        migrations.AddField(
            model_name="fetchrequest",
            name="fell_short",
            field=models.IntegerField(default=0, help_text="How often its answer did not hold its whole span."),
        ),
        migrations.AddField(
            model_name="fetchrequest",
            name="published_at",
            field=models.DateTimeField(blank=True, help_text="Database's clock; all of it is in the topic.", null=True),
        ),
        migrations.RunSQL((SQL / "history.sql").read_text(), (SQL / "history_undo.sql").read_text()),
    ]
