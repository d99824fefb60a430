"""Why a gap is there is a code too; until the next scan, those from before have that of no special kind."""

from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0010_market_provider")]
    operations = [
        migrations.AddField(
            model_name="gaprepair",
            name="code",
            field=models.TextField(
                db_default="other",
                default="other",
                help_text="The kind of reason, one of datastore.coverage.reasons.ANY_CODE.",
            ),
        ),
        migrations.RunSQL(script("migrations/0011_gap_code"), script("migrations/0011_gap_code_undo")),
    ]
