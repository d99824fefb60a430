from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DatastoreConfig(AppConfig):
    """Register the datastore app, and let every `migrate` end with today's SQL functions."""

    name = "datastore"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what follows a migration."""
        from datastore.db.functions import make_functions, note_boot

        post_migrate.connect(make_functions, sender=self)
        post_migrate.connect(note_boot, sender=self)
