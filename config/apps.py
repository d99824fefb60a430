from __future__ import annotations

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Register the commands, system checks and Celery app of the whole platform."""

    name = "config"

    def ready(self) -> None:
        """Load the checks and the app that tasks are sent through: importing registers them."""
        from config import celery, checks  # noqa: F401
