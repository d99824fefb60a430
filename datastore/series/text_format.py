"""Candles as text of other shapes, made of the lines of row_format.CSV block by block."""

from __future__ import annotations

from datastore.series.klines import close_time
from datastore.series.row_format import COLUMNS
from datastore.timeframes.timeframe import Timeframe

_DECIMALS = COLUMNS[1:7]


class CsvWriter:
    """The lines as they are, after a line of names."""

    def head(self) -> bytes:
        """Return what precedes the rows."""
        return ",".join(COLUMNS).encode() + b"\n"

    def rows(self, block: bytes) -> bytes:
        """Return some rows."""
        return block

    def tail(self) -> bytes:
        """Return what follows the rows."""
        return b""


class NdjsonWriter(CsvWriter):
    """One object a line; decimals are text, or with as_numbers the same digits without quotes."""

    def __init__(self, as_numbers: bool) -> None:
        cells = dict.fromkeys(COLUMNS, b"%s") | {"source": b'"%s"'}
        if not as_numbers:
            cells |= dict.fromkeys(_DECIMALS, b'"%s"')
        fields = (b'"%s":%s' % (name.encode(), cell) for name, cell in cells.items())
        self._row = b"{" + b",".join(fields) + b"}\n"

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def rows(self, block: bytes) -> bytes:
        """Return some rows."""
        text = b"".join([self._row % tuple(line.split(b",")) for line in with_nulls(block).splitlines()])
        return text.replace(b'"null"', b"null") if b'"null"' in text else text


class CcxtWriter(CsvWriter):
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
