from __future__ import annotations

from django.apps import AppConfig


class ConsumersConfig(AppConfig):
    """Register the consumers app."""

    name = "consumers"
    default_auto_field = "django.db.models.BigAutoField"
