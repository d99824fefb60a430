"""The tables of the first release; it replaces the migrations of the development versions."""

import django_fsm
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('consumers', '0001_initial'), ('consumers', '0002_dynamic_consumer_at_work')]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='FixedTopicConsumer',
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
                ('state', django_fsm.FSMField(choices=[('idle', 'Idle'), ('processing_message', 'Processing Message'), ('writing_to_db', 'Writing to DB'), ('updating_redis', 'Updating Redis'), ('error', 'Error')], default='idle', editable=False, max_length=40, protected=True)),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('reset_fixedtopicconsumer', 'Can reset consumers of fixed topics in Error')],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='DynamicTopicConsumer',
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
                ('state', django_fsm.FSMField(choices=[('idle', 'Idle'), ('subscribing', 'Subscribing'), ('consuming', 'Consuming'), ('processing_message', 'Processing Message'), ('writing_to_db', 'Writing to DB'), ('updating_redis', 'Updating Redis'), ('error', 'Error')], default='idle', editable=False, max_length=40, protected=True)),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('reset_dynamictopicconsumer', 'Can reset consumers of dynamic topics in Error')],
                'abstract': False,
                'indexes': [models.Index(condition=models.Q(('retired_at__isnull', True)), fields=['name'], name='dynamic_consumer_at_work')],
            },
        ),
    ]
