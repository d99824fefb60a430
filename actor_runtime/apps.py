from __future__ import annotations

from django.apps import AppConfig


class ActorRuntimeConfig(AppConfig):
    """Register the actors app and record every transition."""

    name = "actor_runtime"
    label = "actors"  # tables, migrations and content types are named by it
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the transition log."""
        from actor_runtime import transition_log  # noqa: F401  # importing connects its signal
