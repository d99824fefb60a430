"""The tables of the first release.

It replaces the migrations of the development versions: a database that has all of them counts as migrated, one that
has some of them is refused (config/supervision/squashed_migrations.py). Django does not let a migration replace one of
its own name, hence no `0001_initial`. No table, index or constraint uses an SQL function, so none is made here: they
are made after every `migrate` (datastore/db/functions.py). The undo drops them, because some depend on these tables.
"""

import datastore.models.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import django_fsm
import uuid
from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):

    replaces = [
        ('datastore', '0001_initial'),
        ('datastore', '0002_market_data'),
        ('datastore', '0003_functions'),
        ('datastore', '0004_read'),
        ('datastore', '0005_history_requests'),
        ('datastore', '0006_q_history'),
        ('datastore', '0007_api_key'),
        ('datastore', '0008_reconciliation'),
        ('datastore', '0009_pairs'),
        ('datastore', '0010_read_text'),
        ('datastore', '0011_streams'),
        ('datastore', '0012_end_stream'),
        ('datastore', '0013_bounds'),
        ('datastore', '0015_coverage_changes'),
    ]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Market',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('symbol', models.TextField(help_text='exchange:BASE-QUOTE', unique=True)),
                ('exchange', models.TextField()),
                ('base', models.TextField()),
                ('quote', models.TextField()),
                ('provider_exchange', models.TextField(help_text='As the provider spells it.')),
                ('provider_base', models.TextField()),
                ('provider_quote', models.TextField()),
                ('series', models.UUIDField(default=uuid.uuid4, editable=False, help_text='Random id of this history.')),
                ('version', models.BigIntegerField(db_default=0, default=0, editable=False, help_text='Rises with every transaction that changes an answer.')),
                ('watermark', models.DateTimeField(blank=True, editable=False, help_text='Up to here the feed is known.', null=True)),
                ('live_stop', models.DateTimeField(blank=True, editable=False, help_text='Newest proven time of any feed.', null=True)),
                ('ticks_from', models.DateTimeField(blank=True, editable=False, help_text='Trades before this UTC midnight were deleted by retention.', null=True)),
                ('followed', models.BooleanField(db_default=False, default=False, editable=False, help_text='Always on: we take its feed and repair its gaps.')),
            ],
            options={
                'db_table': 'market',
                'ordering': ['symbol'],
            },
        ),
        migrations.CreateModel(
            name='ProviderClock',
            fields=[
                ('provider', models.TextField(primary_key=True, serialize=False)),
                ('simulated', models.BooleanField(default=False)),
                ('clock_offset', models.DurationField(blank=True, help_text="Provider's time - database's; NULL: no stamp yet.", null=True)),
                ('floor', models.DateTimeField(blank=True, help_text='Greatest time given out.', null=True)),
                ('measured_at', models.DateTimeField(blank=True, help_text="The database's clock.", null=True)),
            ],
            options={
                'db_table': 'provider_clock',
            },
        ),
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('topic', models.TextField()),
                ('market', models.TextField(blank=True, help_text='As the record names it; it may be unknown.', null=True)),
                ('reason', models.TextField()),
                ('raw', models.BinaryField()),
                ('position', models.TextField(blank=True, default='', help_text="The broker's name of its position.")),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('replayed_at', models.DateTimeField(blank=True, help_text='When it was last published again.', null=True)),
                ('replayed_by', models.TextField(blank=True, db_default='', default='')),
            ],
            options={
                'db_table': 'dead_letter',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('position', ''), _negated=True), fields=('topic', 'position'), name='dead_letter_once')],
                'permissions': [('replay_deadletter', 'Can publish dead letters again')],
            },
        ),
        migrations.CreateModel(
            name='Feed',
            fields=[
                ('feed', models.TextField(primary_key=True, serialize=False)),
                ('topic', models.TextField(db_index=True)),
                ('markets', models.JSONField(default=list, help_text='Symbols routed here; empty: all of the topic.')),
                ('connected', models.DateTimeField(null=True)),
                ('acknowledged_until', models.DateTimeField()),
                ('acknowledged_at', models.DateTimeField(help_text="The database's clock.")),
                ('behind_since', models.DateTimeField(help_text="Provider's time of the first acknowledgement that was not read yet.")),
                ('drained_at', models.DateTimeField(help_text="The database's clock.", null=True)),
            ],
            options={
                'db_table': 'feed',
                'indexes': [models.Index(condition=models.Q(('drained_at__isnull', True), ('drained_at__lt', models.F('acknowledged_at')), _connector='OR'), fields=['acknowledged_until'], name='feed_behind')],
            },
        ),
        migrations.CreateModel(
            name='GapRepair',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resolution', models.IntegerField()),
                ('start', models.DateTimeField()),
                ('stop', models.DateTimeField()),
                ('reason', models.TextField()),
                ('version', models.BigIntegerField(default=0)),
                ('attempts', models.IntegerField(default=0)),
                ('next_try', models.DateTimeField(blank=True, null=True)),
                ('final', models.BooleanField(default=False, help_text='The provider answered that it has nothing.')),
                ('market', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'gap_repair',
                'indexes': [models.Index(fields=['market', 'resolution', 'start'], name='gap_repair_start')],
            },
        ),
        migrations.CreateModel(
            name='FeedPosition',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'feed', blank=True, editable=False, primary_key=True, serialize=False)),
                ('feed', models.TextField()),
                ('topic', models.TextField()),
                ('last_n', models.BigIntegerField()),
                ('unbroken', models.BooleanField(help_text='Every number from 1 to last_n was seen.')),
                ('start', models.DateTimeField(help_text='Of the open span; NULL: none is open.', null=True)),
                ('stop', models.DateTimeField(help_text='Proven up to here; NULL: nothing of the open span yet.', null=True)),
                ('bridge', models.DateTimeField(help_text='A replay reaches back to here, once the span is proven at all.', null=True)),
                ('reason', models.TextField(help_text='How the previous span ended.', null=True)),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'feed_position',
                'indexes': [models.Index(fields=['market', 'topic'], name='feed_position_topic')],
            },
        ),
        migrations.CreateModel(
            name='Coverage',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'source', 'feed', 'resolution', 'start', blank=True, editable=False, primary_key=True, serialize=False)),
                ('source', models.TextField(choices=[('live', 'Live'), ('provider', 'Provider')])),
                ('feed', models.TextField(default='', help_text="Topic and connection; empty for the provider's answers.")),
                ('resolution', models.IntegerField(default=0, help_text="Seconds of the provider's answer, 0 for live.")),
                ('start', models.DateTimeField()),
                ('stop', models.DateTimeField()),
                ('reason', models.TextField(help_text='How it ended; NULL: not known to have ended.', null=True)),
                ('version', models.BigIntegerField(db_default=0, default=0, help_text='When it last began, ended or joined another.')),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'coverage',
                'indexes': [models.Index(fields=['market', 'source', 'resolution', 'start'], name='coverage_start')],
                'constraints': [models.CheckConstraint(condition=models.Q(('start__lt', models.F('stop'))), name='coverage_not_empty')],
            },
        ),
        migrations.CreateModel(
            name='Candle',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'resolution', 'open_time', blank=True, editable=False, primary_key=True, serialize=False)),
                ('resolution', models.IntegerField(help_text='Seconds: 60, 3600 or 86400.')),
                ('open_time', models.DateTimeField()),
                ('open', datastore.models.fields.ExactDecimalField(null=True)),
                ('high', datastore.models.fields.ExactDecimalField(null=True)),
                ('low', datastore.models.fields.ExactDecimalField(null=True)),
                ('close', datastore.models.fields.ExactDecimalField(null=True)),
                ('volume', datastore.models.fields.ExactDecimalField()),
                ('quote_volume', datastore.models.fields.ExactDecimalField()),
                ('trades', models.IntegerField()),
                ('version', models.BigIntegerField(help_text="The market's version at the last change.")),
                ('revision', models.IntegerField(db_default=0, default=0, help_text='Committed changes since the first.')),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'candle',
                'indexes': [models.Index(fields=['market', 'version'], name='candle_version')],
                'constraints': [models.CheckConstraint(condition=models.Q(('resolution__in', (60, 3600, 86400))), name='candle_resolution')],
            },
        ),
        migrations.CreateModel(
            name='ProviderCandle',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'resolution', 'open_time', blank=True, editable=False, primary_key=True, serialize=False)),
                ('resolution', models.IntegerField(help_text='Seconds: 60, 3600 or 86400.')),
                ('open_time', models.DateTimeField()),
                ('open', datastore.models.fields.ExactDecimalField()),
                ('high', datastore.models.fields.ExactDecimalField()),
                ('low', datastore.models.fields.ExactDecimalField()),
                ('close', datastore.models.fields.ExactDecimalField()),
                ('volume', datastore.models.fields.ExactDecimalField()),
                ('quote_volume', datastore.models.fields.ExactDecimalField()),
                ('version', models.BigIntegerField(help_text="The market's version at the last change.")),
                ('revision', models.IntegerField(db_default=0, default=0)),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'provider_candle',
                'indexes': [models.Index(fields=['market', 'version'], name='provider_candle_version')],
                'constraints': [models.CheckConstraint(condition=models.Q(('volume__gt', 0)), name='provider_candle_traded')],
            },
        ),
        migrations.CreateModel(
            name='Tick',
            fields=[
                ('pk', models.CompositePrimaryKey('market', 'ts', 'trade_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('ts', models.DateTimeField(help_text='Exchange time.')),
                ('received_at', models.DateTimeField(help_text="Provider's time at the first receipt.")),
                ('seq', models.BigIntegerField(null=True)),
                ('side', models.SmallIntegerField(default=0, help_text='Taker: 1 buy, -1 sell, 0 unknown.')),
                ('trade_id', models.TextField(db_collation='C')),
                ('price', datastore.models.fields.ExactDecimalField()),
                ('amount', datastore.models.fields.ExactDecimalField(help_text='In units of the base.')),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'tick',
                'constraints': [models.CheckConstraint(condition=models.Q(('price__gt', 0), ('price__lt', 'Infinity')), name='tick_price'), models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('amount__lt', 'Infinity')), name='tick_amount')],
            },
        ),
        migrations.CreateModel(
            name='DatastoreRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('epoch', models.BigIntegerField(default=0, editable=False, help_text='Goes up with every new owner.')),
                ('owner', models.CharField(blank=True, default='', editable=False, help_text='host:pid:start of the process, empty: free', max_length=200)),
                ('heartbeat_at', models.DateTimeField(editable=False, help_text="The database's clock.", null=True)),
                ('waiting_for', models.TextField(editable=False, null=True)),
                ('last_error', models.TextField(editable=False, null=True)),
                ('error_count', models.PositiveIntegerField(default=0, editable=False, help_text='Errors since the last success.')),
                ('reset_at', models.DateTimeField(editable=False, help_text='The next automatic reset.', null=True)),
                ('retired_at', models.DateTimeField(editable=False, null=True)),
                ('state', django_fsm.FSMField(choices=[('idle', 'Idle'), ('processing_request', 'Processing Request'), ('querying_db', 'Querying DB'), ('data_found', 'Data Found'), ('data_not_found', 'Data Not Found'), ('requesting_data_fetch', 'Requesting Data Fetch'), ('waiting_for_data', 'Waiting for Data'), ('returning_data', 'Returning Data'), ('error', 'Error')], default='idle', editable=False, max_length=40, protected=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('fetches', models.JSONField(default=list, editable=False, help_text='Ids of the FetchRequests it waits for.')),
                ('market', models.TextField(default='', editable=False, help_text='Symbol asked for.')),
                ('returning_since', models.DateTimeField(editable=False, help_text='When its answer became ready.', null=True)),
                ('start', models.DateTimeField(editable=False, null=True)),
                ('stop', models.DateTimeField(editable=False, null=True)),
                ('timeframe', models.TextField(default='', editable=False)),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('reset_datastorerequest', 'Can reset datastore requests in Error')],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='FetchRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resolution', models.IntegerField(help_text='Seconds: 60, 3600 or 86400.')),
                ('start', models.DateTimeField()),
                ('stop', models.DateTimeField()),
                ('purpose', models.IntegerField(choices=[(0, 'Reader'), (1, 'Gap'), (2, 'Schedule'), (3, 'Backfill')])),
                ('state', models.TextField(choices=[('queued', 'Queued'), ('fetching', 'Fetching'), ('published', 'Published'), ('done', 'Done'), ('failed', 'Failed')], default='queued')),
                ('reached', models.DateTimeField(blank=True, help_text='All of [reached, stop) is published and acknowledged; NULL: nothing yet.', null=True)),
                ('pages_done', models.IntegerField(default=0)),
                ('pages_total', models.IntegerField(blank=True, null=True)),
                ('lease_until', models.DateTimeField(blank=True, help_text="Database's clock; renewed by the job.", null=True)),
                ('worker', models.TextField(blank=True, default='', help_text='The producer that fetches it.')),
                ('dispatched', models.IntegerField(default=0, help_text='How often it was handed out.')),
                ('next_try', models.DateTimeField(blank=True, help_text="Database's clock; not before.", null=True)),
                ('error', models.TextField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('market', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datastore.market')),
                ('fell_short', models.IntegerField(default=0, help_text='How often its answer did not cover the whole span.')),
                ('published_at', models.DateTimeField(blank=True, help_text="Database's clock; all of it is in the topic.", null=True)),
            ],
            options={
                'db_table': 'fetch_request',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['queued', 'fetching', 'published'])), fields=['purpose', 'id'], name='fetch_request_active'), models.Index(fields=['market', 'resolution', 'start'], name='fetch_request_span')],
                'constraints': [models.CheckConstraint(condition=models.Q(('start__lt', models.F('stop'))), name='fetch_request_not_empty')],
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Who uses it; the log refers to it by this name.', max_length=100, unique=True, validators=[django.core.validators.RegexValidator('\\A\\w[\\w .:@/-]*\\Z', 'Letters, digits, blanks and .:@/-_ are accepted.')])),
                ('prefix', models.TextField(editable=False, help_text='The part that may be shown: ck_<prefix>_…', unique=True)),
                ('sha256', models.TextField(editable=False, help_text='Of the whole text, in hex.', unique=True)),
                ('scope', models.TextField(choices=[('read', 'Read'), ('write', 'Read and write')], default='read')),
                ('rate', models.PositiveIntegerField(blank=True, help_text='Empty: RATE_LIMIT_PER_KEY; 0: no limit.', null=True, verbose_name='requests a minute')),
                ('budget', models.PositiveIntegerField(blank=True, help_text='Empty: FETCH_BUDGET_PER_KEY; 0: no limit.', null=True, verbose_name="provider's pages a day")),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_used_at', models.DateTimeField(editable=False, help_text='To the minute.', null=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'db_table': 'api_key',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='FetchSpending',
            fields=[
                ('pk', models.CompositePrimaryKey('day', 'spender', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField(help_text='UTC.')),
                ('spender', models.TextField(help_text="A key's prefix or an address.")),
                ('pages', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'fetch_spending',
            },
        ),
        migrations.CreateModel(
            name='Reconciliation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resolution', models.IntegerField(help_text='Seconds.')),
                ('start', models.DateTimeField()),
                ('stop', models.DateTimeField()),
                ('compared', models.IntegerField(help_text="Buckets that our feed and the provider's answer both prove.")),
                ('different', models.IntegerField(help_text='Those of them that differ.')),
                ('note', models.TextField(blank=True, default='', help_text='Why nothing could be compared.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('market', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'reconciliation',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['market', 'resolution', 'start'], name='reconciliation_span')],
            },
        ),
        migrations.CreateModel(
            name='CandleDifference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('open_time', models.DateTimeField()),
                ('ours', models.JSONField(help_text='NULL: we hold no trade.', null=True)),
                ('theirs', models.JSONField(help_text='NULL: the provider has no trades there.', null=True)),
                ('reconciliation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='differences', to='datastore.reconciliation')),
            ],
            options={
                'db_table': 'candle_difference',
                'ordering': ['open_time'],
            },
        ),
        migrations.CreateModel(
            name='Pair',
            fields=[
                ('symbol', models.TextField(help_text='exchange:BASE-QUOTE', primary_key=True, serialize=False)),
                ('exchange', models.TextField()),
                ('base', models.TextField()),
                ('quote', models.TextField()),
                ('joined', models.TextField(db_collation='C', help_text='BASEQUOTE, by which every spelling is found.')),
                ('provider_exchange', models.TextField(help_text='As the provider spells it.')),
                ('provider_base', models.TextField()),
                ('provider_quote', models.TextField()),
                ('active', models.BooleanField(default=True, help_text='In the newest list.')),
                ('seen_at', models.DateTimeField(help_text="The newest list that holds it; the database's clock.")),
            ],
            options={
                'db_table': 'pair',
                'ordering': ['symbol'],
                'indexes': [models.Index(fields=['joined'], name='pair_joined')],
            },
        ),
        migrations.CreateModel(
            name='DynamicTopic',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.TextField(help_text='dyn-{exchange}-{BASE}-{QUOTE}-g{n}', unique=True)),
                ('state', models.TextField(choices=[('creating', 'Creating'), ('notifying', 'Notifying'), ('live', 'Live'), ('retiring', 'Retiring'), ('retired', 'Retired')], default='creating')),
                ('error', models.TextField(blank=True, help_text='Why it was given up.', null=True)),
                ('requested_at', models.DateTimeField()),
                ('creator', models.TextField(blank=True, default='', help_text='The Producer that made it.')),
                ('created_at', models.DateTimeField(blank=True, null=True)),
                ('create_error', models.TextField(blank=True, null=True)),
                ('notified_at', models.DateTimeField(blank=True, help_text='When the actors were notified.', null=True)),
                ('producer', models.TextField(blank=True, default='', help_text='The Producer that publishes to it.')),
                ('routed_at', models.DateTimeField(blank=True, help_text='Its first record was acknowledged.', null=True)),
                ('route_error', models.TextField(blank=True, help_text='Why records cannot be published to it.', null=True)),
                ('consumer', models.TextField(blank=True, default='', help_text='The process that reads it.')),
                ('subscribed_at', models.DateTimeField(blank=True, null=True)),
                ('subscribe_error', models.TextField(blank=True, null=True)),
                ('live_at', models.DateTimeField(blank=True, null=True)),
                ('retiring_at', models.DateTimeField(blank=True, null=True)),
                ('route_ended_at', models.DateTimeField(blank=True, help_text='Nothing more is published to it.', null=True)),
                ('drained_at', models.DateTimeField(blank=True, help_text='Read to the end after the route had ended.', null=True)),
                ('retired_at', models.DateTimeField(blank=True, help_text='Deleted at the broker.', null=True)),
                ('market', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'dynamic_topic',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'retired'), _negated=True), fields=['state'], include=('market',), name='dynamic_topic_open')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['creating', 'notifying', 'live'])), fields=('market',), name='dynamic_topic_one_alive')],
            },
        ),
        migrations.CreateModel(
            name='Stream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('timeframe', models.TextField()),
                ('state', models.TextField(choices=[('requested', 'Requested'), ('live', 'Live'), ('ended', 'Ended'), ('failed', 'Failed')], default='requested')),
                ('attempts', models.IntegerField(default=0)),
                ('next_try', models.DateTimeField(blank=True, help_text="Database's clock; not before.", null=True)),
                ('error', models.TextField(blank=True, help_text='Of the last try.', null=True)),
                ('asked_by', models.TextField(blank=True, default='')),
                ('lease_until', models.DateTimeField(help_text="Database's clock; renewed by PUT or by being followed.")),
                ('created_at', models.DateTimeField()),
                ('live_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.TextField(blank=True, default='', help_text='Who deleted it, or that its lease ran out.')),
                ('market', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datastore.market')),
                ('topic', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='streams', to='datastore.dynamictopic')),
            ],
            options={
                'db_table': 'stream',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['requested', 'live'])), fields=('market', 'timeframe'), name='stream_one_alive')],
                'permissions': [('end_stream', 'Can end streams')],
            },
        ),
        migrations.CreateModel(
            name='CoverageChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.BigIntegerField(help_text="The market's version that shows the change.")),
                ('what', models.TextField(choices=[('live', 'Live'), ('provider', 'Provider'), ('hole', 'Gap')])),
                ('resolution', models.IntegerField(default=0, help_text="Seconds of the provider's answer or the gap, 0 for live.")),
                ('start', models.DateTimeField()),
                ('stop', models.DateTimeField()),
                ('market', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='datastore.market')),
            ],
            options={
                'db_table': 'coverage_change',
                'indexes': [models.Index(fields=['market', 'version'], name='coverage_change_version')],
            },
        ),
        migrations.RunSQL(script('migrations/0001_first_release'), script('migrations/0001_first_release_undo')),
    ]
