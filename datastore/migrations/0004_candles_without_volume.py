"""Let the provider's candles have volume 0: a row whose price moved is not a quiet one."""

from __future__ import annotations

from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):

    dependencies = [
        ('datastore', "0003_markets"),
    ]

    operations = [
        migrations.RunSQL(
            script("migrations/0004_candles_without_volume"), script("migrations/0004_candles_without_volume_undo")
        ),
        migrations.RemoveConstraint(
            model_name='providercandle',
            name='provider_candle_traded',
        ),
        migrations.AddConstraint(
            model_name='providercandle',
            constraint=models.CheckConstraint(condition=models.Q(('volume__gte', 0)), name='provider_candle_volume'),
        ),
    ]
