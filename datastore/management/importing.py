"""What the commands that import files share: their arguments, the order of the files, progress and report."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from datastore.imports.binance_files import PROVIDER, is_published
from datastore.imports.binding import CannotImport, check_market
from datastore.imports.checked_file import BadFile, CheckedFile
from datastore.imports.checked_file import Progress as Done
from datastore.imports.rows import FileFormat, Row
from datastore.management.arguments import add_market, market_named
from datastore.management.progress import Progress
from datastore.models import Market
from datastore.timeframes.intervals import Interval, moment
from datastore.wording import counted

MAX_SPANS_SHOWN = 10


def add_import_arguments(parser: ArgumentParser) -> None:
    """Take the market, the files, and whether to write."""
    add_market(parser)
    parser.add_argument(
        "file",
        nargs="+",
        type=Path,
        help="CSV with a heading, NDJSON or Parquet; or one of Binance's under its name, whose .CHECKSUM is used",
    )
    parser.add_argument(
        "--columns",
        type=named_columns,
        default={},
        metavar="FIELD=COLUMN,…",
        help="which column is what where its name does not say it: time=ts,price=p",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the files, and write nothing")


def named_columns(text: str) -> dict[str, str]:
    """Return columns by field; raise ArgumentTypeError."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(field and column for field, _, column in pairs):
        raise ArgumentTypeError(f"{text!r} is not FIELD=COLUMN,FIELD=COLUMN")
    return {field.strip(): column.strip() for field, _, column in pairs}


def market_to_import(name: str, files: Sequence[Path]) -> Market:
    """Return the market of that name if it can take these files; raise CommandError."""
    market = market_named(name)
    with refusals():
        for provider in {PROVIDER if is_published(path) else market.provider for path in files}:
            check_market(market, provider)
    return market


def symbol_of(market: Market) -> str:
    """Return the market as the files' names spell it."""
    return f"{market.provider_base}{market.provider_quote}"


def newest_first(forms: Mapping[Path, FileFormat[Row]]) -> list[Path]:
    """Return the files in the order in which they are imported: what is stored grows backwards, without a hole.

    A table's name says nothing of its time; those are taken from the last name to the first.
    """
    return sorted(forms, key=lambda path: (forms[path].period, path.name), reverse=True)


@contextmanager
def refusals() -> Iterator[None]:
    """Let what cannot be imported end the command with its reason."""
    try:
        yield
    except (BadFile, CannotImport) as exc:
        raise CommandError(str(exc)) from None


@contextmanager
def shown(stdout: Any, unit: str) -> Iterator[Done]:
    """Show progress in this unit while it is under way."""
    progress = Progress(stdout, unit)
    try:
        yield progress.show
    finally:
        progress.end()  # what is wrong is said on a line of its own


def in_megabytes(show: Done) -> Done:
    """Return a progress of bytes."""
    return lambda done, size: show(done // 1_000_000, max(1, -(-size // 1_000_000)))


def file_line(file: CheckedFile[Any], counts: Mapping[str, int], refused: Mapping[str, int]) -> str:
    """Return what a file brought, as a line of the report."""
    notes = [f"{count:,} {what}" for what, count in counts.items() if count]
    notes += [f"{count:,} refused ({why})" for why, count in refused.items()]
    notes += [f"{counted(file.repeated, 'line')} twice"] if file.repeated else []
    notes += [f"{counted(file.markers, 'marker')}"] if file.markers else []
    checksum = "checksum right" if file.has_checksum else "no checksum beside it"
    return f"{file.name}: {counted(file.rows, 'row')}, {', '.join(notes)}; {checksum}."


def span_lines(proof: str, spans: Sequence[Interval], whole: Callable[[Sequence[Interval]], str]) -> Iterator[str]:
    """Yield what is proven of a file's time now."""
    yield f"  proven ({proof}): {whole(spans)}"
    for start, stop in spans[:MAX_SPANS_SHOWN]:
        yield f"    {moment(start):%Y-%m-%d %H:%M:%S} to {moment(stop):%Y-%m-%d %H:%M:%S} UTC"
    if len(spans) > MAX_SPANS_SHOWN:
        yield f"    and {len(spans) - MAX_SPANS_SHOWN:,} more"
