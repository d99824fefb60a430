from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from datastore.imports.binance_files import RESOLUTIONS, candle_format, is_published
from datastore.imports.binding import bind_database
from datastore.imports.candle_import import CandleImport, compare_candles, proven_candles, store_candles
from datastore.imports.checked_file import BadFile, check_file
from datastore.imports.own_files import own_candles
from datastore.imports.rows import CandleRow, FileFormat
from datastore.management import importing
from datastore.models import Market
from datastore.timeframes.intervals import SECOND_US
from datastore.wording import counted


class Command(BaseCommand):
    """Import the venue's candles from files."""

    help = (
        "Import the venue's candles (1m, 1h, 1d) from CSV, NDJSON or Parquet, or from the files of Binance's public "
        "data. Each file is checked as a whole before any of it is written; one that was imported before changes "
        "nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market and files."""
        importing.add_import_arguments(parser)
        parser.add_argument("--timeframe", choices=list(RESOLUTIONS), help="of a table, whose name does not say it")

    def handle(
        self,
        *args: Any,
        market: str,
        file: list[Path],
        dry_run: bool,
        columns: dict[str, str],
        timeframe: str | None,
        **options: Any,
    ) -> None:
        """Check, compare and store each file, the newest first, and report what it brought; raise CommandError."""
        named = importing.market_to_import(market, file)
        with importing.refusals():
            forms = {path: _form(path, named, timeframe, columns) for path in file}
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


def _form(
    path: Path, market: Market, timeframe: str | None, columns: dict[str, str]
) -> tuple[FileFormat[CandleRow], int]:
    """Return how a file is read, and the length of its candles in seconds; raise BadFile."""
    if is_published(path):
        return candle_format(path, importing.symbol_of(market))
    if timeframe is None:
        raise BadFile(path.name, "its name does not say what it is, as BTCUSDT-1m-2024-01.zip does: say --timeframe")
    resolution = RESOLUTIONS[timeframe]
    return own_candles(path, resolution * SECOND_US, columns), resolution


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
