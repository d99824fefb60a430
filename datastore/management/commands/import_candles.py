from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from datastore.imports.binance_files import candle_format
from datastore.imports.binding import bind_database
from datastore.imports.candle_import import CandleImport, compare_candles, proven_candles, store_candles
from datastore.imports.checked_file import check_file
from datastore.management import importing
from datastore.timeframes.intervals import SECOND_US
from datastore.wording import counted


class Command(BaseCommand):
    """Import the venue's candles from files."""

    help = (
        "Import candles (1m, 1h, 1d) from the files of Binance's public data, zip or CSV. Each file is checked as a "
        "whole before any of it is written; one that was imported before changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market and files."""
        importing.add_import_arguments(parser)

    def handle(self, *args: Any, market: str, file: list[Path], dry_run: bool, **options: Any) -> None:
        """Check, compare and store each file, the newest first, and report what it brought; raise CommandError."""
        named = importing.market_to_import(market)
        with importing.refusals():
            forms = {path: candle_format(path, importing.symbol_of(named)) for path in file}
            for path in importing.newest_first({path: form for path, (form, _) in forms.items()}):
                form, resolution = forms[path]
                with importing.shown(self.stdout, f"MB of {path.name} checked") as show:
                    checked = check_file(path, form, importing.in_megabytes(show))
                with checked:
                    found = compare_candles(named, checked, resolution)
                    if not dry_run:
                        bind_database(named.provider)
                        with importing.shown(self.stdout, "batches stored") as show:
                            store_candles(found, show)
                    for line in _report(found):
                        self.stdout.write(line)
        if dry_run:
            self.stdout.write("Nothing was written: --dry-run.")


def _report(found: CandleImport) -> Iterator[str]:
    counts = {"new": found.new, "stored already": found.stored, "stored otherwise": found.changed, "quiet": found.quiet}
    yield importing.file_line(found.file, counts, found.refused)
    length = found.resolution * SECOND_US
    buckets = (found.span[1] - found.span[0]) // length
    yield from importing.span_lines(
        "candle",
        proven_candles(found),
        lambda spans: f"{sum(stop - start for start, stop in spans) // length:,} of {counted(buckets, 'bucket')}",
    )
