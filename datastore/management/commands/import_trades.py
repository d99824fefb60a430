from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from datastore.imports.binance_files import is_published, trade_format
from datastore.imports.binding import CannotImport, bind_database
from datastore.imports.checked_file import check_file
from datastore.imports.own_files import own_trades
from datastore.imports.rows import MARK, FileFormat, TradeRow
from datastore.imports.trade_import import TradeImport, compare_trades, new_holes, proven_trades, store_trades
from datastore.management import importing
from datastore.models import Market
from datastore.reference.provider_registry import traits_of
from datastore.timeframes.intervals import SECOND_US, whole
from datastore.wording import counted

MINUTE_US = 60 * SECOND_US


class Command(BaseCommand):
    """Import the venue's trades from files."""

    help = (
        "Import trades from CSV, NDJSON or Parquet, or from the aggTrades files of Binance's public data. Each file is "
        "checked as a whole, and compared with what is stored, before any of it is written; one that was imported "
        "before changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market and files."""
        importing.add_import_arguments(parser)
        parser.add_argument(
            "--with-holes", action="store_true", help="import files that do not join what is stored, or each other"
        )

    def handle(
        self,
        *args: Any,
        market: str,
        file: list[Path],
        dry_run: bool,
        columns: dict[str, str],
        with_holes: bool,
        **options: Any,
    ) -> None:
        """Check, compare and store each file, the newest first, and report what it brought; raise CommandError."""
        named, ids = importing.market_to_import(market, file), list[tuple[int, int]]()
        with importing.refusals():
            forms = {path: _form(path, named, columns) for path in file}
            for path in importing.newest_first(forms):
                with importing.shown(self.stdout, f"MB of {path.name} checked") as show:
                    checked = check_file(path, forms[path], importing.in_megabytes(show))
                with checked:
                    with importing.shown(self.stdout, "batches compared") as show:
                        found = compare_trades(named, checked, show)
                    ids += found.ids
                    if not with_holes:
                        _check_holes(named, ids, path)
                    if not dry_run and found.new:
                        bind_database(named.provider)
                        with importing.shown(self.stdout, "batches stored") as show:
                            store_trades(found, show)
                    for line in _report(found):
                        self.stdout.write(line)
        if dry_run:
            self.stdout.write("Nothing was written: --dry-run.")


def _form(path: Path, market: Market, columns: dict[str, str]) -> FileFormat[TradeRow]:
    if is_published(path):
        return trade_format(path, importing.symbol_of(market))
    return own_trades(path, traits_of(market.provider), columns)


def _check_holes(market: Market, ids: list[tuple[int, int]], path: Path) -> None:
    """Raise CannotImport if these ids, of all files so far, would leave others missing that are not missing now."""
    if holes := new_holes(market, ids):
        first, last = holes[0]
        lost = f"{counted(last - first + 1, 'trade')} would be missing beside it, ids {first} to {last}"
        more = f", and more in {counted(len(holes) - 1, 'other place')}" if len(holes) > 1 else ""
        raise CannotImport(
            f"{path.name}: {lost}{more}. Of a market that is followed, they are then fetched from the venue. Import "
            "the files between as well, all of them in the same command, or say --with-holes."
        )


def _report(found: TradeImport) -> Iterator[str]:
    yield importing.file_line(found.file, {"new": found.new, "stored already": found.stored}, found.refused)
    if found.marked:
        without = f"{counted(found.marked, 'trade')} without an id"
        yield f"  not proven, and marked by an id of the form {MARK}…: {without}"
    first, last = found.file.first, found.file.last
    start, stop = (first.start, last.start) if first and last else (0, 0)
    ((low, high),) = whole([(start, stop)], MINUTE_US) or [(0, 0)]
    yield from importing.span_lines(
        "ids",
        proven_trades(found),
        lambda spans: (
            f"{sum(b - a for a, b in whole(spans, MINUTE_US)) // MINUTE_US:,} of "
            f"{counted((high - low) // MINUTE_US, 'whole minute')}"
        ),
    )
