"""`manage.py prepare`: what `up` does before its processes start, for servers that `up` does not start."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.supervision import first_start, processes
from config.supervision.errors import StartError
from config.supervision.provider import contact_all
from config.supervision.servers import SERVER_TIMEOUT_S, database_refusal, stream_refusal, valkey_refusal

POLL_INTERVAL_S = 1.0
PROVIDER_TIMEOUT_S = 5.0


class Command(BaseCommand):
    """Wait for database, cache and stream; then set up schema, admin user, provider and markets."""

    help = "Migrate, create the admin user, remember the provider and follow the markets; safe to repeat at each start."

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up what the processes need."""
        if settings.EMBEDDED_DATABASE or settings.EMBEDDED_VALKEY or settings.EMBEDDED_SIMULATOR:
            raise CommandError(
                "prepare needs servers that already run: set DATABASE_URL, REDIS_URL, and LIVE=1 or "
                f"{' and '.join(processes.provider_addresses())}. On one machine `manage.py up` does all of this by "
                "itself."
            )
        self._await("DATABASE_URL", lambda: database_refusal(settings.DATABASE_URL))
        self._await("REDIS_URL", lambda: valkey_refusal(settings.REDIS_URL))
        self._await("STREAM_URL", lambda: stream_refusal(settings.STREAM_URL))
        try:
            for line in first_start.set_up_schema(on_terminal=self.stdout.isatty()):
                self.stdout.write(line)
            for line in first_start.set_up_contents(contact_all(PROVIDER_TIMEOUT_S)):
                self.stdout.write(line)
        except StartError as error:
            raise CommandError(str(error)) from None

    def _await(self, name: str, refusal: Callable[[], str | None]) -> None:
        deadline = time.monotonic() + SERVER_TIMEOUT_S
        while reason := refusal():
            if time.monotonic() > deadline:
                raise CommandError(f"{name} does not answer: {reason}.")
            self.stdout.write(f"waiting for {name}: {reason}")
            time.sleep(POLL_INTERVAL_S)
