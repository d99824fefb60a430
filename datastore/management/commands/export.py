from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from django.core.management.base import BaseCommand, CommandError

from datastore.api.errors import Problem
from datastore.api.params.parameter import OneOf
from datastore.api.params.times import to_ms
from datastore.api.responses.series_body import coverage_json
from datastore.api.responses.series_stream import written_parts
from datastore.coverage.completeness import described
from datastore.db.queries import snapshot
from datastore.management.arguments import add_market, add_span, add_timeframe, argument_type, check_order, market_named
from datastore.management.progress import Progress
from datastore.reference.provider_clock import provider_now
from datastore.series.export import Export, Question
from datastore.series.fill import FILLS, NONE
from datastore.series.written_format import FORMATS, Format
from datastore.timeframes.timeframe import TIMEFRAMES

STDOUT = "-"
MONTH = TIMEFRAMES["1M"]
BY_SUFFIX = {one.suffix: one for one in FORMATS.values() if one.suffix != "json"}


class Command(BaseCommand):
    """Write a span of a series to a file, or to a folder of files by month."""

    help = "Write the candles of [--from, --to) to a file, all from one snapshot, with their certificate next to it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take market, timeframe, span, format and where to write."""
        add_market(parser)
        add_timeframe(parser)
        add_span(parser, required=True, default="where to start")
        formats = argument_type(OneOf(tuple(FORMATS)))
        default = "default: what the file's name ends in, else csv"
        parser.add_argument("--format", type=formats, metavar="FORMAT", help=f"{', '.join(FORMATS)}; {default}")
        parser.add_argument("--output", required=True, metavar="FILE", help="a file, or - for standard output")
        parser.add_argument(
            "--partition", choices=["month"], help="--output is a folder, and has a file for each month"
        )
        parser.add_argument("--certificate", metavar="FILE", help="default: FILE.coverage.json; none with -")
        parser.add_argument("--numbers", choices=["string", "float"], default="string", help="float: round to floats")
        parser.add_argument("--raw", action="store_true", help="the provider's own prices, as it gave them")
        parser.add_argument("--fill", choices=FILLS, default=NONE, help="rows for buckets without trades")
        parser.add_argument("--closed-only", action="store_true", help="leave out what may still change")
        parser.add_argument("--require-complete", action="store_true", help="exit with 1 if anything is missing")

    def handle(self, *args: Any, output: str, certificate: str | None, **options: Any) -> None:
        """Write the rows, then the certificate, then report whether anything is missing."""
        check_order(options["start"], options["stop"])
        form = _format_of(output, options["format"], options["partition"] is not None)
        as_numbers = options["numbers"] == "float"
        question = Question(
            market_named(options["market"]),
            options["timeframe"],
            options["start"],
            options["stop"],
            fill=options["fill"],
            closed_only=options["closed_only"],
            raw=options["raw"],
            shape=form.shape(as_numbers),
        )
        self._form, self._as_numbers = form, as_numbers
        if not options["partition"]:
            missing = self._export(question, output, certificate)
        elif output == STDOUT or certificate:
            raise CommandError("--partition makes a folder, with a certificate for each of its files.")
        else:
            missing = self._export_months(question, Path(output))
        if options["require_complete"] and missing:
            raise CommandError("Not complete; see manage.py gaps.")

    def _export_months(self, question: Question, folder: Path) -> bool:
        """Write a file for each month, all from one snapshot; return whether anything is missing."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CommandError(f"{folder} cannot be made: {exc.strerror}.") from None
        missing = False
        with snapshot():
            for start, stop in _months(question, provider_now(question.market.provider)):
                name = f"{start:%Y-%m}.{self._form.suffix}"
                # A name that begins so is no part of a data set for those who open the folder as one.
                certificate = str(folder / f"_{name}.coverage.json")
                part = replace(question, start=start, stop=stop)
                missing = self._export(part, str(folder / name), certificate) or missing
        return missing

    def _export(self, question: Question, output: str, certificate: str | None) -> bool:
        """Write one file and its certificate; return whether anything is missing."""
        export = self._write(question, output)
        series, rows = export.series, export.rows
        if output != STDOUT:
            certificate = certificate or f"{output}.coverage.json"
        if certificate:
            with _whole_file(certificate) as file:
                about = {
                    "from": to_ms(series.start),
                    "to": to_ms(series.stop),
                    "fill": question.fill,
                    "closed_only": question.closed_only,
                }
                body = {**about, "candles": rows, **coverage_json(series, None)}
                file.write(msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n")
        if output != STDOUT:
            self.stdout.write(f"{series.market} {series.timeframe}: {rows:,} candles in {output}.")
        return bool(series.completeness.missing)

    def _write(self, question: Question, output: str) -> Export:
        """Say how much is there, then write all rows; return the finished export."""
        export, announced = Export(question), False
        progress = Progress(self.stderr if output == STDOUT else self.stdout)
        try:
            with self._opened(output) as file:
                for data in written_parts(export, self._form, self._as_numbers):
                    if not announced:
                        announced, completeness = True, export.certificate.completeness
                        line = f"{question.market.symbol} {question.timeframe}: {described(completeness)}."
                        if completeness.missing:
                            self.stderr.write(f"Not complete. {line}")
                        elif output != STDOUT:
                            self.stdout.write(line)
                    for block in data:
                        file.write(block)
                    progress.show(export.part.number, export.part.of)
        except Problem as exc:
            raise CommandError(exc.detail) from None
        progress.end()
        return export

    @contextmanager
    def _opened(self, output: str) -> Iterator[Any]:
        if output != STDOUT:
            with _whole_file(output) as file:
                yield file
            return
        try:
            yield _Bytes(self.stdout)
        except BrokenPipeError:  # its reader has stopped reading
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise CommandError("Standard output was closed before the end.") from None
        except OSError as exc:
            raise CommandError(f"Standard output cannot be written: {exc.strerror}.") from None


class _Bytes:
    """Standard output for bytes; where it is only text, as in a notebook, for those of text formats."""

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout
        self._buffer = getattr(stdout._out, "buffer", None)

    def write(self, data: bytes) -> None:
        if self._buffer is not None:
            self._buffer.write(data)
            self._buffer.flush()
        elif data:
            self._stdout.write(data.decode(), ending="")


def _format_of(output: str, given: str | None, is_folder: bool) -> Format:
    """Return the format that is given, else that of the file's name. Raises CommandError."""
    ending = "" if is_folder or output == STDOUT else Path(output).suffix.removeprefix(".").lower()
    form = FORMATS[given] if given else BY_SUFFIX.get(ending, FORMATS["csv"])
    if ending and ending != form.suffix:
        if ending in BY_SUFFIX:
            raise CommandError(f"--output {output} ends in .{ending}, but --format is {form.name}.")
        known = ", ".join(f".{name}" for name in BY_SUFFIX)
        raise CommandError(
            f"--output {output}: there is no format for .{ending}. The file may end in {known}, and in .json with "
            "--format ccxt or binance."
        )
    return form


def _months(question: Question, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the parts of the question's span that lie in one month each, up to the open bucket. Raises CommandError."""
    assert question.start is not None  # noqa: S101 - the command requires it
    frame = question.frame
    open_until = frame.after(frame.floor(now))
    at, end = frame.floor(question.start), min(frame.ceil(question.stop or now), open_until)
    if at >= end:
        raise CommandError("--from is later than now: there is no month to write.")
    while at < end:
        stop = min(frame.ceil(MONTH.after(MONTH.floor(at))), end)
        yield at, stop
        at = stop


@contextmanager
def _whole_file(name: str) -> Iterator[BinaryIO]:
    """Open a file that gets its name only once it is complete; raise CommandError if it cannot be written."""
    part = Path(f"{name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(name)
    except OSError as exc:
        raise CommandError(f"{name} cannot be written: {exc.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
