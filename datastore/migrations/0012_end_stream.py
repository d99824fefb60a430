"""Let streams be ended by those who are permitted to."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("datastore", "0011_streams")]
    operations = [
        migrations.AlterModelOptions(
            name="stream",
            options={"ordering": ["-id"], "permissions": [("end_stream", "Can end streams")]},
        ),
    ]
