"""What an actor does is a column; until now it was guessed from the name."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastore", "0007_steady_time")]
    operations = [
        migrations.AddField(
            model_name="datastorerequest",
            name="role",
            field=models.CharField(default="request", editable=False, max_length=60),
        ),
    ]
