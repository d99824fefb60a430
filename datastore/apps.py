from __future__ import annotations

from django.apps import AppConfig


class DatastoreConfig(AppConfig):
    """Register the datastore app."""

    name = "datastore"
    default_auto_field = "django.db.models.BigAutoField"
