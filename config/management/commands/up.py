"""`manage.py up`: one command that runs the whole of Candlekeep."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from config.disk import DISK_ERRORS
from config.supervision.embedded_servers import EmbeddedError
from config.supervision.errors import StartError


class Command(BaseCommand):
    """Start the embedded servers, migrate, and keep every process running until Ctrl-C."""

    help = "Start Candlekeep: database, stream, provider, web and actors, restarted as needed; Ctrl-C stops it all."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped."""
        from config.supervision.launch import Launch

        try:
            Launch(self._say, self.stdout.isatty()).run()
        except (StartError, EmbeddedError) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            what = error.filename or "The data folder"
            raise CommandError(f"{what} cannot be written: {error.strerror}. Make room and start again.") from error
        except DatabaseError as error:
            raise CommandError(f"The database refuses: {error} (up --traceback says more)") from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
