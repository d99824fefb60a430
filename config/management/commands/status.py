"""`manage.py status`: the whole platform on one screen."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.monitoring.status import overview


class Command(BaseCommand):
    """Print the whole platform on one screen."""

    help = "Show provider, actors, markets and streams on one screen."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the overview."""
        self.stdout.write(overview())
