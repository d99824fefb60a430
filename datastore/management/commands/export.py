from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import msgspec
from django.core.management.base import BaseCommand, CommandError

from datastore.api.params.parameter import OneOf
from datastore.api.params.times import to_ms
from datastore.api.responses.series_body import COLUMNS, coverage_json
from datastore.coverage.completeness import described
from datastore.management.arguments import add_market, add_span, add_timeframe, argument_type, check_order, market_named
from datastore.management.progress import Progress
from datastore.series.export import Export, Question
from datastore.series.fill import FILLS, NONE
from datastore.series.row_format import CSV

STDOUT = "-"
FORMATS = ("csv",)


class Command(BaseCommand):
    """Write a span of a series to a file."""

    help = "Write the candles of [--from, --to) to a file, all from one snapshot, with their certificate next to it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market, timeframe, span, format and where to write."""
        add_market(parser)
        add_timeframe(parser)
        add_span(parser, required=True, default="where to start")
        formats = argument_type(OneOf(FORMATS))
        parser.add_argument("--format", type=formats, default="csv", metavar="FORMAT", help=", ".join(FORMATS))
        parser.add_argument("--output", required=True, metavar="FILE", help="a file, or - for standard output")
        parser.add_argument("--certificate", metavar="FILE", help="default: FILE.coverage.json; none with -")
        parser.add_argument("--fill", choices=FILLS, default=NONE, help="rows for buckets without trades")
        parser.add_argument("--closed-only", action="store_true", help="leave out what may still change")
        parser.add_argument("--require-complete", action="store_true", help="exit with 1 if anything is missing")

    def handle(self, *args: Any, output: str, certificate: str | None, **options: Any) -> None:
        """Write the rows, then the certificate, then report whether anything is missing."""
        check_order(options["start"], options["stop"])

        ending = Path(output).suffix.removeprefix(".").lower()
        if output != STDOUT and ending and ending not in FORMATS:
            known = ", ".join(f".{name}" for name in FORMATS)
            raise CommandError(f"--output {output}: there is no format for .{ending}. The file may end in {known}.")

        question = Question(
            market_named(options["market"]),
            options["timeframe"],
            options["start"],
            options["stop"],
            CSV,
            options["fill"],
            options["closed_only"],
        )
        export, rows = self._write(question, output)
        series = export.series
        if output != STDOUT:
            certificate = certificate or f"{output}.coverage.json"
        if certificate:
            with _whole_file(certificate) as file:
                about = {
                    "from": to_ms(series.start),
                    "to": to_ms(series.stop),
                    "fill": options["fill"],
                    "closed_only": options["closed_only"],
                }
                body = {**about, "candles": rows, **coverage_json(series, None)}
                file.write(msgspec.json.format(msgspec.json.encode(body), indent=2).decode() + "\n")
        if output != STDOUT:
            self.stdout.write(f"{series.market} {series.timeframe}: {rows:,} candles in {output}.")

        if options["require_complete"] and export.completeness.missing:
            raise CommandError("Not complete; see manage.py gaps.")

    def _write(self, question: Question, output: str) -> tuple[Export, int]:
        """Say how much is there, then write all rows; return the finished export and the number of rows."""
        export, rows = Export(question), 0
        progress = Progress(self.stderr if output == STDOUT else self.stdout)
        with self._opened(output) as file:
            file.write(",".join(COLUMNS) + "\n")
            for part in export.parts():
                if part.number == 1:
                    line = f"{question.market.symbol} {question.timeframe}: {described(export.completeness)}."
                    if export.completeness.missing:
                        self.stderr.write(f"Not complete. {line}")
                    elif output != STDOUT:
                        self.stdout.write(line)
                if part.text:
                    file.write(part.text + "\n")
                    rows += part.text.count("\n") + 1
                progress.show(part.number, part.of)
        progress.end()
        return export, rows

    @contextmanager
    def _opened(self, output: str) -> Iterator[Any]:
        if output != STDOUT:
            with _whole_file(output) as file:
                yield file
            return
        try:
            yield self.stdout
        except BrokenPipeError:  # its reader has stopped reading
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise CommandError("Standard output was closed before the end.") from None
        except OSError as exc:
            raise CommandError(f"Standard output cannot be written: {exc.strerror}.") from None


@contextmanager
def _whole_file(name: str) -> Iterator[TextIO]:
    """Open a file that gets its name only once it is complete; raise CommandError if it cannot be written."""
    part = Path(f"{name}.part")
    try:
        with part.open("w", encoding="ascii", newline="\n") as file:
            yield file
        part.replace(name)
    except OSError as exc:
        raise CommandError(f"{name} cannot be written: {exc.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
