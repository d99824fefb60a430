from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.monitoring.status import overview


class Command(BaseCommand):
    """Print the whole platform in one screen."""

    help = "Show provider, actors and markets in one screen."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        self.stdout.write(overview())
