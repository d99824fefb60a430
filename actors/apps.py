from __future__ import annotations

from django.apps import AppConfig


class ActorsConfig(AppConfig):
    """Register the actors app and note every transition."""

    name = "actors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the transition log."""
        from actors import log  # noqa: F401  # importing connects its signal
