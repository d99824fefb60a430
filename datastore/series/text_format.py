"""Candles as text: lines as the database writes them, and arrays made of the lines of row_format.CSV."""

from __future__ import annotations

import msgspec

from datastore.series.klines import kline_of
from datastore.series.row_format import COLUMNS
from datastore.timeframes.timeframe import Timeframe


class LinesWriter:
    """The lines as they are."""

    def head(self) -> bytes:
        """Return what precedes the rows."""
        return b""

    def rows(self, block: bytes) -> bytes:
        """Return some rows."""
        return block

    def tail(self) -> bytes:
        """Return what follows the rows."""
        return b""


class CsvWriter(LinesWriter):
    """The lines after one of names."""

    def head(self) -> bytes:
        """Return the line of names."""
        return ",".join(COLUMNS).encode() + b"\n"


class CcxtWriter(LinesWriter):
    """One array of [time, open, high, low, close, volume], numbers all."""

    _row = b",\n[%s,%s,%s,%s,%s,%s]"

    def __init__(self) -> None:
        self._began = False

    def head(self) -> bytes:
        """Return the bracket before all rows."""
        return b"["

    def rows(self, block: bytes) -> bytes:
        """Return some rows, after a comma unless they are the first."""
        text = self.texts(block)
        if not self._began:
            text, self._began = text[2:], True
        return text

    def texts(self, block: bytes) -> bytes:
        """Return each row after a comma."""
        return b"".join([self._row % tuple(line.split(b",", 6)[:6]) for line in with_nulls(block).splitlines()])

    def tail(self) -> bytes:
        """Return the bracket after all rows."""
        return b"]\n"


class BinanceWriter(CcxtWriter):
    """One array of klines of Binance's (klines.py)."""

    def __init__(self, frame: Timeframe) -> None:
        super().__init__()
        self._frame = frame
        self._encoder = msgspec.json.Encoder()

    def texts(self, block: bytes) -> bytes:
        """Return each row after a comma."""
        klines = [kline_of(line.split(",", 8), self._frame) for line in block.decode().splitlines()]
        return b",\n" + self._encoder.encode_lines(klines)[:-1].replace(b"\n", b",\n")


def with_nulls(block: bytes) -> bytes:
    """Return lines in which an empty cell, what is not given or not known, is null."""
    if b",," not in block:
        return block
    return block.replace(b",,", b",null,").replace(b",,", b",null,")
