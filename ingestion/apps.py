from __future__ import annotations

from django.apps import AppConfig


class IngestionConfig(AppConfig):
    """Register the ingestion app, and tell the datastore what providers there are."""

    name = "ingestion"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the traits of every provider."""
        from datastore.reference.provider_registry import register
        from ingestion.providers.table import PROVIDERS

        register(provider.traits for provider in PROVIDERS.values())
