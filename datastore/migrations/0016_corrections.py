"""Changes of a candle after it was closed and proven are counted by themselves; of those before nothing is known."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastore", "0015_numbers")]
    operations = [
        migrations.AddField(
            model_name="candle",
            name="corrections",
            field=models.IntegerField(
                db_default=0,
                default=0,
                help_text="Those of them that came after it was closed, with proof that it was whole.",
            ),
        ),
        migrations.AlterField(
            model_name="providercandle",
            name="revision",
            field=models.IntegerField(db_default=0, default=0, help_text="Changes of what was final already."),
        ),
        migrations.AddIndex(
            model_name="candle",
            index=models.Index(
                condition=models.Q(("corrections__gt", 0)),
                fields=["market", "resolution", "open_time"],
                name="candle_corrected",
            ),
        ),
        migrations.AddIndex(
            model_name="providercandle",
            index=models.Index(
                condition=models.Q(("revision__gt", 0)),
                fields=["market", "resolution", "open_time"],
                name="provider_candle_corrected",
            ),
        ),
    ]
