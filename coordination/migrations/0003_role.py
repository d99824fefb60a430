"""What an actor does is a column; until now it was guessed from the name."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("coordination", "0002_error_times")]
    operations = [
        migrations.AddField(
            model_name="coordinator",
            name="role",
            field=models.CharField(default="coordinator", editable=False, max_length=60),
        ),
    ]
