"""The provider's rows whose open or close lies outside their range are indexed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastore", "0018_served_prices")]
    operations = [
        migrations.AddIndex(
            model_name="providercandle",
            index=models.Index(
                condition=models.Q(
                    ("open__lt", models.F("low")),
                    ("open__gt", models.F("high")),
                    ("close__lt", models.F("low")),
                    ("close__gt", models.F("high")),
                    _connector="OR",
                ),
                fields=["market", "resolution", "open_time"],
                name="provider_candle_odd",
            ),
        ),
    ]
