"""How a span ended is a code too; spans that ended before have that of no special kind."""

from django.db import migrations, models

from datastore.db.sql_files import script


class Migration(migrations.Migration):
    dependencies = [("datastore", "0008_role")]
    operations = [
        migrations.AddField(
            model_name="coverage",
            name="code",
            field=models.TextField(
                help_text="The kind of reason, one of streaming.ends.EndCode; NULL as there.", null=True
            ),
        ),
        migrations.RunSQL(script("migrations/0009_end_code"), migrations.RunSQL.noop),
    ]
