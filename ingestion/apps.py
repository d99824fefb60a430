from __future__ import annotations

from django.apps import AppConfig


class IngestionConfig(AppConfig):
    """Register the ingestion app."""

    name = "ingestion"
    default_auto_field = "django.db.models.BigAutoField"
