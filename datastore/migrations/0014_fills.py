"""Trades that are missing by their ids are asked for by the same requests as candles."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastore", "0013_provider_clocks")]
    operations = [
        migrations.AlterField(
            model_name="fetchrequest",
            name="resolution",
            field=models.IntegerField(help_text="Seconds: 60, 3600 or 86400; 0: trades."),
        ),
        migrations.AddField(
            model_name="fetchrequest",
            name="first_id",
            field=models.BigIntegerField(blank=True, help_text="Of the missing trades; NULL: candles.", null=True),
        ),
        migrations.AddField(
            model_name="fetchrequest",
            name="last_id",
            field=models.BigIntegerField(
                blank=True, help_text="NULL: up to the newest trade there is.", null=True
            ),
        ),
    ]
