"""Trades in the formats of any length."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Protocol

import msgspec

from datastore.api.responses.series_stream import writing
from datastore.series.written_format import FORMATS, ExtraMissing

# time_us beside time: many venues trade several times a millisecond, and the order must survive.
COLUMNS = ("time", "time_us", "trade_id", "seq", "side", "price", "amount", "received")
Row = tuple[int, int, str, int | None, str | None, str, str, int]


class TradeWriter(Protocol):
    """Turns trades into a format, some at a time, in order."""

    def head(self) -> bytes:
        """Return what precedes the rows."""

    def trades(self, rows: Sequence[Row]) -> bytes:
        """Return what is ready after some more rows. Raises NumberTooLong."""

    def tail(self) -> bytes:
        """Return what follows the rows."""


class NdjsonTrades:
    """One object a line."""

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def trades(self, rows: Sequence[Row]) -> bytes:
        """Return some rows."""
        return msgspec.json.Encoder().encode_lines([dict(zip(COLUMNS, row, strict=True)) for row in rows])

    def tail(self) -> bytes:
        """Return nothing."""
        return b""


class CsvTrades(NdjsonTrades):
    """A line of names, then the rows."""

    def head(self) -> bytes:
        """Return the line of names."""
        return ",".join(COLUMNS).encode() + b"\n"

    def trades(self, rows: Sequence[Row]) -> bytes:
        """Return some rows."""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def trade_writer(name: str, about: bytes) -> TradeWriter:
    """Return the writer of a format; about: JSON for the metadata of those that have a place for it.

    Raises BadParameters where pyarrow is needed and not installed.
    """
    if name in ("csv", "ndjson"):
        return CsvTrades() if name == "csv" else NdjsonTrades()
    with writing(FORMATS[name]):
        try:
            from datastore.series import columnar_format
        except ImportError:
            raise ExtraMissing from None
        writer = columnar_format.ArrowTrades if name == "arrow" else columnar_format.ParquetTrades
        return writer(about)
