"""Whose data a market holds is a column of it; until now there was one provider for all."""

from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0009_end_code")]
    operations = [
        migrations.RunSQL(script("migrations/0010_market_provider"), script("migrations/0010_market_provider_undo")),
        migrations.AddField(
            model_name="market",
            name="provider",
            field=models.TextField(
                db_default="cryptocompare",
                default="cryptocompare",
                editable=False,
                help_text="Who delivers its data, for good.",
            ),
        ),
    ]
