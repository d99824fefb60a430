"""Count spans of time by the database machine's steady time, and let the provider's time be taken back."""

from __future__ import annotations

from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0006_dead_letter_code")]
    operations = [
        migrations.RunSQL(script("migrations/0007_steady_time"), script("migrations/0007_steady_time_undo")),
        migrations.CreateModel(
            name="DatabaseClock",
            fields=[
                ("boot", models.TextField(help_text="The kernel's id of it.", primary_key=True, serialize=False)),
                ("booted_at", models.DateTimeField(help_text="Steady time at which the kernel's count was 0.")),
                ("ahead", models.DurationField(help_text="Steady time - the clock's, when last compared.")),
                (
                    "newest",
                    models.DateTimeField(help_text="Newest steady time noted: the next boot goes on from here."),
                ),
                ("server_start", models.DateTimeField(help_text="Of the server that last noted it.")),
            ],
            options={"db_table": "database_clock"},
        ),
        migrations.RemoveField(model_name="providerclock", name="floor"),
        migrations.AlterField(
            model_name="providerclock",
            name="clock_offset",
            field=models.DurationField(
                blank=True, help_text="Provider's time - steady time; NULL: no stamp yet.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="providerclock",
            name="measured_at",
            field=models.DateTimeField(blank=True, help_text="Steady time.", null=True),
        ),
        migrations.AddField(
            model_name="providerclock",
            name="certain_until",
            field=models.DateTimeField(
                blank=True,
                help_text="Provider's time when it last jumped ahead; claims up to here are safe from it.",
                null=True,
            ),
        ),
    ]
