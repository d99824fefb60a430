from __future__ import annotations

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Register the commands and system checks of the whole platform."""

    name = "config"

    def ready(self) -> None:
        """Load the checks: importing registers them."""
        from config import checks  # noqa: F401
