from __future__ import annotations

from django.apps import AppConfig


class ActorsConfig(AppConfig):
    """Register the actors app."""

    name = "actors"
    default_auto_field = "django.db.models.BigAutoField"
