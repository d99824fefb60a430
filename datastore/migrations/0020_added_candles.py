"""A function that adds trades to candles has another name; all are made again after every migrate."""

from django.db import migrations

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0019_odd_candles")]
    operations = [
        migrations.RunSQL(script("migrations/0020_added_candles"), script("migrations/0020_added_candles_undo")),
    ]
