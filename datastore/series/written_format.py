"""The formats that a series of any length is written in: their names, media types, and writers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from datastore.series.text_format import BinanceWriter, CcxtWriter, CsvWriter, NdjsonWriter
from datastore.timeframes.timeframe import Timeframe

EXTRA = "pip install -r requirements-arrow.txt"
PRECISION, SCALE = 38, 18  # of every market: files of different markets and months open as one data set


class ExtraMissing(Exception):
    """pyarrow is not installed; the text is a sentence that follows the format's name."""

    def __str__(self) -> str:
        return f"needs pyarrow, an extra that is not installed here: {EXTRA}"


class NumberTooLong(Exception):
    """A number has more digits than the columns of a format hold."""

    def __str__(self) -> str:
        return (
            f"A number of this series has more than {PRECISION - SCALE} digits before or {SCALE} after the point, "
            "which this format cannot hold: numbers=float rounds it, csv and ndjson keep it."
        )


class Writer(Protocol):
    """Turns lines of row_format.CSV into another format, some at a time, in order."""

    def head(self) -> bytes:
        """Return what precedes the rows."""

    def rows(self, block: bytes) -> bytes:
        """Return what is ready after some more rows."""

    def tail(self) -> bytes:
        """Return what follows the rows."""


@dataclass(frozen=True, slots=True)
class Written:
    """How one series is written; certificate: JSON, for formats with a place for it."""

    frame: Timeframe
    certificate: bytes
    as_numbers: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A format. in_blocks: rows are written as they come; else many at a time, at which its writer is faster."""

    name: str
    media_type: str
    suffix: str
    writer: Callable[[Written], Writer]
    in_blocks: bool = True


def _columnar(kind: str) -> Callable[[Written], Writer]:
    """Return what makes a writer of columnar_format, which needs the extra. Raises ExtraMissing."""

    def make(written: Written) -> Writer:
        try:
            from datastore.series import columnar_format
        except ImportError:
            raise ExtraMissing from None
        writer: Writer = getattr(columnar_format, kind)(written.certificate, written.as_numbers)
        return writer

    return make


FORMATS = {
    one.name: one
    for one in (
        Format("csv", "text/csv", "csv", lambda _: CsvWriter()),
        Format("ndjson", "application/x-ndjson", "ndjson", lambda written: NdjsonWriter(written.as_numbers)),
        Format("ccxt", "application/json", "json", lambda _: CcxtWriter()),
        Format("binance", "application/json", "json", lambda written: BinanceWriter(written.frame)),
        Format("arrow", "application/vnd.apache.arrow.stream", "arrow", _columnar("ArrowWriter"), False),
        Format("parquet", "application/vnd.apache.parquet", "parquet", _columnar("ParquetWriter"), False),
        Format("feather", "application/vnd.apache.arrow.file", "feather", _columnar("FeatherWriter"), False),
    )
}
