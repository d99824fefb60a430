"""`manage.py run NAME`: one process of Candlekeep in the foreground, for a supervisor other than `up`."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.supervision import processes


class Command(BaseCommand):
    """Become one of the processes that `up` would run, on servers that already run."""

    help = "Run one process of Candlekeep in the foreground, for a scheduler that starts them one by one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the process's name."""
        parser.add_argument("name", choices=sorted(processes.service_programs({})), help="which one, as `up` calls it")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        """Replace this process by the named one, so that signals and exit status are its own."""
        if settings.EMBEDDED_DATABASE or settings.EMBEDDED_VALKEY or settings.EMBEDDED_SIMULATOR:
            raise CommandError(
                "run needs servers that already run: set DATABASE_URL, REDIS_URL, and LIVE=1 or "
                f"{' and '.join(processes.provider_addresses())}. On one machine `manage.py up` runs everything."
            )
        program = processes.service_programs(processes.environment(processes.given_addresses()))[name]
        os.chdir(program.cwd)
        os.execve(program.argv[0], program.argv, dict(program.env))  # noqa: S606 - our own command line
