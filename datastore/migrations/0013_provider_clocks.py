"""Each provider has a clock, an identity and a list of its own, and some give no quote volume."""

from django.db import migrations, models

import datastore.models.fields

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0012_proof")]
    operations = [
        migrations.RunSQL(script("migrations/0013_provider_clocks"), migrations.RunSQL.noop),
        migrations.AddField(
            model_name="providerclock",
            name="identity",
            field=models.TextField(
                db_default="", default="", help_text="Its name for itself, for good; empty until it was asked."
            ),
        ),
        migrations.RunSQL(script("migrations/0013_one_provider"), script("migrations/0013_provider_clocks_undo")),
        migrations.AlterField(
            model_name="providerclock",
            name="provider",
            field=models.TextField(help_text="Our name for it.", primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name="providercandle",
            name="quote_volume",
            field=datastore.models.fields.ExactDecimalField(null=True, help_text="NULL: the provider does not give it."),
        ),
        migrations.AddField(
            model_name="pair",
            name="provider",
            field=models.TextField(
                db_default="cryptocompare",
                default="cryptocompare",
                help_text="Whose list it is in: who would deliver its data.",
            ),
        ),
    ]
