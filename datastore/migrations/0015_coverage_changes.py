"""Note which stretches change their certificate, and let the functions that write coverage do so."""

from __future__ import annotations

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql" / "schema"
ANEW = "\n".join((SQL / f"{name}.sql").read_text() for name in ("coverage_undo", "coverage", "history_undo", "history"))
BEFORE = (SQL / "coverage_before.sql").read_text()


class Migration(migrations.Migration):

    dependencies = [
        ('datastore', '0014_timescale'),
    ]

    operations = [
        migrations.CreateModel(
            name='CoverageChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.BigIntegerField(help_text="The market's version that shows the change.")),
                ('what', models.TextField(choices=[('live', 'Live'), ('provider', 'Provider'), ('hole', 'Hole')])),
                ('resolution', models.IntegerField(default=0, help_text="Seconds of the provider's answer or the hole, 0 for live.")),
                ('start', models.DateTimeField()),
                ('stop', models.DateTimeField()),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'coverage_change',
                'indexes': [models.Index(fields=['market', 'version'], name='coverage_change_version')],
            },
        ),
        migrations.RunSQL(ANEW, ANEW),
        migrations.RunSQL(BEFORE, migrations.RunSQL.noop),
    ]
