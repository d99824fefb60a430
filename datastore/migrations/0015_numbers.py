"""How far the provider's numbers have no hole is stored with the position of the feed."""

from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0014_fills")]
    operations = [
        migrations.RunSQL(script("migrations/0015_numbers"), script("migrations/0015_numbers_undo")),
        migrations.AddField(
            model_name="feedposition",
            name="numbers",
            field=models.JSONField(
                help_text="The provider's numbers, as datastore.ingest.number_run stores them.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="coverage",
            name="feed",
            field=models.TextField(
                default="",
                help_text=(
                    "Topic and connection, `seq/` and these, or `ids/` and the first stored id;"
                    " empty: the provider's answer."
                ),
            ),
        ),
    ]
