"""What a span rests on is a column of it; ids of trades are stored as ranges, where the venue counts its trades."""

import django.db.models.deletion
from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):

    dependencies = [
        ('datastore', '0011_gap_code'),
    ]

    operations = [
        migrations.RunSQL(script('migrations/0012_proof'), script('migrations/0012_proof_undo')),
        migrations.AddField(
            model_name='coverage',
            name='proof',
            field=models.TextField(db_default='connection', default='connection', help_text='What it rests on, one of datastore.reference.traits.Proof.'),
        ),
        migrations.AddField(
            model_name='tick',
            name='first_id',
            field=models.BigIntegerField(help_text="Of the venue's consecutive ids that it covers; NULL: none.", null=True),
        ),
        migrations.AddField(
            model_name='tick',
            name='last_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='coverage',
            name='feed',
            field=models.TextField(default='', help_text="Topic and connection, or `ids/` and the first stored id; empty for the provider's answers."),
        ),
        migrations.CreateModel(
            name='LastTradeStatement',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'last_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('last_id', models.BigIntegerField()),
                ('since', models.DateTimeField(help_text="The venue's time when it first said so.")),
                ('at', models.DateTimeField(help_text='When it last said so.')),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'last_trade',
            },
        ),
        migrations.CreateModel(
            name='IdRange',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'first', blank=True, editable=False, primary_key=True, serialize=False)),
                ('first', models.BigIntegerField()),
                ('last', models.BigIntegerField()),
                ('since', models.DateTimeField(help_text='When the first was traded.')),
                ('until', models.DateTimeField(help_text='When the last was traded.')),
                ('doubted', models.BooleanField(db_default=False, default=False, help_text='Two different trades came; proves nothing.')),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'id_range',
                'indexes': [models.Index(fields=['market', 'since'], name='id_range_since'), models.Index(condition=models.Q(('doubted', True)), fields=['market', 'first'], name='id_range_doubted')],
                'constraints': [models.CheckConstraint(condition=models.Q(('first__lte', models.F('last'))), name='id_range_not_empty')],
            },
        ),
        migrations.RunSQL(script('migrations/0012_proof_candle'), migrations.RunSQL.noop),
    ]
