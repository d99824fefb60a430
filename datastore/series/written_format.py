"""The formats that a series of any length is written in: their names, media types, and writers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from datastore.series.columnar_use import note_use
from datastore.series.digits import Digits
from datastore.series.row_format import CSV, NDJSON, NDJSON_NUMBERS, Shape
from datastore.series.text_format import BinanceWriter, CcxtWriter, CsvWriter, LinesWriter
from datastore.timeframes.timeframe import Timeframe

EXTRA = "pip install -r requirements-arrow.txt"
PRECISION, MAX_SCALE = 38, 18  # of the columns of exact decimals


class ExtraMissing(Exception):
    """pyarrow is not installed; the text is a sentence that follows the format's name."""

    def __str__(self) -> str:
        return f"needs pyarrow, an extra that is not installed here: {EXTRA}"


class NumberTooLong(Exception):
    """A number has more digits than the columns of a format hold."""

    def __str__(self) -> str:
        return (
            f"A number of this series has more than {MAX_SCALE} digits behind the point, or too many before it, "
            "which this format cannot hold: numbers=float rounds it, csv and ndjson keep it."
        )


class Writer(Protocol):
    """Turns lines into a format, some at a time, in order."""

    def head(self) -> bytes:
        """Return what precedes the rows."""

    def rows(self, block: bytes) -> bytes:
        """Return what is ready after some more rows."""

    def tail(self) -> bytes:
        """Return what follows the rows."""


@dataclass(frozen=True, slots=True)
class Written:
    """How one series is written; certificate: JSON, for formats with a place for it.

    digits: of the columns of formats in which these have a type, as many as the market needs; None: floats.
    """

    frame: Timeframe
    certificate: bytes
    digits: Digits | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A format. in_blocks: rows are written as they come; else many at a time, in columns that have a type.

    lines: the shape of the lines that its writer takes, of decimals as text and as numbers.
    """

    name: str
    media_type: str
    suffix: str
    writer: Callable[[Written], Writer]
    in_blocks: bool = True
    lines: tuple[Shape, Shape] = (CSV, CSV)

    def shape(self, as_numbers: bool) -> Shape:
        """Return the shape of the lines that the writer takes."""
        return self.lines[as_numbers]


def _columnar(kind: str) -> Callable[[Written], Writer]:
    """Return what makes a writer of columnar_format, which needs the extra. Raises ExtraMissing."""

    def make(written: Written) -> Writer:
        try:
            from datastore.series import columnar_format
        except ImportError:
            raise ExtraMissing from None
        note_use()
        writer: Writer = getattr(columnar_format, kind)(written.certificate, written.digits)
        return writer

    return make


FORMATS = {
    one.name: one
    for one in (
        Format("csv", "text/csv", "csv", lambda _: CsvWriter()),
        Format("ndjson", "application/x-ndjson", "ndjson", lambda _: LinesWriter(), lines=(NDJSON, NDJSON_NUMBERS)),
        Format("ccxt", "application/json", "json", lambda _: CcxtWriter()),
        Format("binance", "application/json", "json", lambda written: BinanceWriter(written.frame)),
        Format("arrow", "application/vnd.apache.arrow.stream", "arrow", _columnar("ArrowWriter"), False),
        Format("parquet", "application/vnd.apache.parquet", "parquet", _columnar("ParquetWriter"), False),
        Format("feather", "application/vnd.apache.arrow.file", "feather", _columnar("FeatherWriter"), False),
    )
}
