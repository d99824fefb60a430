"""The smallest steps of price and amount that a venue's list of pairs names."""

from django.db import migrations

import datastore.models.fields


class Migration(migrations.Migration):
    dependencies = [("datastore", "0016_corrections")]
    operations = [
        migrations.AddField(
            model_name="pair",
            name="price_step",
            field=datastore.models.fields.ExactDecimalField(
                help_text="Prices are multiples of it; NULL: the list does not say.", null=True
            ),
        ),
        migrations.AddField(
            model_name="pair",
            name="amount_step",
            field=datastore.models.fields.ExactDecimalField(
                help_text="Amounts are multiples of it; NULL: the list does not say.", null=True
            ),
        ),
    ]
