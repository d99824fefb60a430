"""Functions that serve the provider's prices within their range; they are made again after every migrate."""

from django.db import migrations

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0017_price_steps")]
    operations = [
        migrations.RunSQL(script("migrations/0018_served_prices"), script("migrations/0018_served_prices_undo")),
    ]
