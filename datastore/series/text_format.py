"""Candles as text: lines as the database writes them, and arrays made of the lines of row_format.CSV."""

from __future__ import annotations

from datastore.series.klines import close_time
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
    """One array of klines of Binance's: 12 cells, decimals as text, the fourth from the end the number of trades.

    The shape knows no null: what a candle does not hold (what takers bought; of a provider's candle also the trades,
    and of some the quote volume) is 0, as is every number of an invented row without any.
    """

    _row = b',\n[%s,"%s","%s","%s","%s","%s",%d,"%s",%s,"0","0","0"]'

    def __init__(self, frame: Timeframe) -> None:
        super().__init__()
        self._frame = frame

    def texts(self, block: bytes) -> bytes:
        """Return each row after a comma."""
        rows = (line.split(b",", 8) for line in block.splitlines())
        text = b"".join([self._row % (*row[:6], self._last_ms(int(row[0])), row[6], row[7]) for row in rows])
        return text.replace(b'""', b'"0"').replace(b",,", b",0,")

    def _last_ms(self, opened: int) -> int:
        if self._frame.seconds:
            return opened + self._frame.seconds * 1000 - 1
        return close_time(opened, self._frame)


def with_nulls(block: bytes) -> bytes:
    """Return lines in which an empty cell, what is not given or not known, is null."""
    if b",," not in block:
        return block
    return block.replace(b",,", b",null,").replace(b",,", b",null,")
