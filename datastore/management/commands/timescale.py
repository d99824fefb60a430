from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from datastore.engines.edition import Case, timescale_edition
from datastore.engines.rollups import CannotConvert, convert, convert_back, database_engine


class Command(BaseCommand):
    """Convert this database's trades to a TimescaleDB hypertable, in place, or back to a plain table."""

    help = (
        "Make the trades a TimescaleDB hypertable with columnstore and continuous aggregates, if the server can. While "
        "it copies them, new trades wait in the stream. --plain undoes it; --status only reports."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the direction."""
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--plain", action="store_true", help="make the trades a plain table again")
        way.add_argument("--status", action="store_true", help="show what this database is, and what it could be")

    def handle(self, *args: Any, plain: bool, status: bool, **options: Any) -> None:
        """Convert, and print the result; raise CommandError if the server cannot."""
        found = timescale_edition()
        if not status and (found.case is Case.CONVERTED) == plain:
            try:
                found = convert_back() if plain else convert()
            except CannotConvert as exc:
                raise CommandError(str(exc)) from None
            database_engine().refresh()
        self.stdout.write(f"{found.sentence}.")
        if found.hint:
            self.stdout.write(found.hint)
