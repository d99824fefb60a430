"""What an actor does is a column; until now it was guessed from the name."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def name_roles(apps: Any, schema_editor: Any) -> None:
    """Write the roles of rows whose names are those of their roles with a number."""
    rows = apps.get_model("consumers", "FixedTopicConsumer").objects
    for name in rows.values_list("name", flat=True):
        rows.filter(name=name).update(role=name.rpartition("-")[0])


class Migration(migrations.Migration):
    dependencies = [("consumers", "0002_error_times")]
    operations = [
        migrations.AddField(
            model_name="fixedtopicconsumer",
            name="role",
            field=models.CharField(default="", editable=False, max_length=60),
        ),
        migrations.AddField(
            model_name="dynamictopicconsumer",
            name="role",
            field=models.CharField(default="dynamic", editable=False, max_length=60),
        ),
        migrations.RunPython(name_roles, migrations.RunPython.noop),
    ]
