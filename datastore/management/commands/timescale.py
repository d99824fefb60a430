from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.engines.edition import Case, timescale_edition
from datastore.engines.rollups import CannotConvert, convert, convert_back, rollups


class Command(BaseCommand):
    """Turn this database's trades into a TimescaleDB hypertable, in place, or back into a plain table."""

    help = (
        "Make the trades a TimescaleDB hypertable with columnstore and continuous aggregates, where the server can; "
        "while it copies, trades wait in the stream. --plain takes it back, --status only tells."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which way."""
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--plain", action="store_true", help="make the trades a plain table again")
        way.add_argument("--status", action="store_true", help="tell what this database is, and what it could be")

    def handle(self, *args: Any, plain: bool, status: bool, **options: Any) -> None:
        """Do it and tell; raise CommandError where the server cannot."""
        found = timescale_edition()
        if not status and (found.case is Case.CONVERTED) == plain:
            try:
                found = convert_back() if plain else convert()
            except CannotConvert as exc:
                raise CommandError(str(exc)) from None
            rollups().refresh()
        self.stdout.write(f"{found.told}.")
        if found.hint:
            self.stdout.write(found.hint)
