"""The provider's pairs, which markets are followed, and which dead letters were published again."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastore", "0008_reconciliation")]
    operations = [
        migrations.CreateModel(
            name="Pair",
            fields=[
                ("symbol", models.TextField(help_text="exchange:BASE-QUOTE", primary_key=True, serialize=False)),
                ("exchange", models.TextField()),
                ("base", models.TextField()),
                ("quote", models.TextField()),
                (
                    "joined",
                    models.TextField(db_collation="C", help_text="BASEQUOTE, by which every spelling is found."),
                ),
                ("provider_exchange", models.TextField(help_text="As the provider spells it.")),
                ("provider_base", models.TextField()),
                ("provider_quote", models.TextField()),
                ("active", models.BooleanField(default=True, help_text="In the newest list.")),
                ("seen_at", models.DateTimeField(help_text="The newest list that holds it; the database's clock.")),
            ],
            options={
                "db_table": "pair",
                "ordering": ["symbol"],
                "indexes": [models.Index(fields=["joined"], name="pair_joined")],
            },
        ),
        migrations.AddField(
            model_name="market",
            name="followed",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Always on: its feed is kept, its holes are repaired.",
            ),
        ),
        # Until now every market that had a row was kept.
        migrations.RunSQL("update market set followed = true", migrations.RunSQL.noop),
        migrations.AlterModelOptions(
            name="deadletter",
            options={"ordering": ["-id"], "permissions": [("replay_deadletter", "Can publish dead letters again")]},
        ),
        migrations.AddField(
            model_name="deadletter",
            name="replayed_at",
            field=models.DateTimeField(blank=True, help_text="When it was last published again.", null=True),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="replayed_by",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
    ]
