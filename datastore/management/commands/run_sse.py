from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.sse.server import serve


class Command(BaseCommand):
    """Serve streams of candles."""

    help = "Serve streams of candles (Server-Sent Events) at HOST and SSE_PORT, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        try:
            serve()
        except OSError as exc:
            raise CommandError(f"The stream process cannot listen: {exc}. Check HOST and SSE_PORT.") from None
