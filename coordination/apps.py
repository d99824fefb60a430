from __future__ import annotations

from django.apps import AppConfig


class CoordinationConfig(AppConfig):
    """Register the coordination app."""

    name = "coordination"
    default_auto_field = "django.db.models.BigAutoField"
