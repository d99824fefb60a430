"""Candles as text of other shapes, made of the lines of row_format.CSV block by block.

A block's cells are put into one format string all at once: cell by cell would cost more than reading them.
"""

from __future__ import annotations

from datastore.series.row_format import COLUMNS
from datastore.timeframes.intervals import SECOND_US, micros_of, moment
from datastore.timeframes.timeframe import Timeframe

CELLS = len(COLUMNS)
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
        text = self._row * block.count(b"\n") % tuple(cells_of(block))
        # What is not given, or not known.
        return text.replace(b':"",', b":null,").replace(b":,", b":null,")


class CcxtWriter(CsvWriter):
    """One array of [time, open, high, low, close, volume], numbers all."""

    _row = b",\n[%s,%s,%s,%s,%s,%s" + b"%.0s" * (CELLS - 6) + b"]"

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
        text = self._row * block.count(b"\n") % tuple(cells_of(block))
        if b",," in text:
            text = text.replace(b",,", b",null,").replace(b",,", b",null,").replace(b",]", b",null]")
        return text

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
        cells = cells_of(block)
        columns = [cells[number::CELLS] for number in range(8)]
        last = (self._last_ms(int(time)) for time in columns[0])
        rows = zip(*columns[:6], last, *columns[6:], strict=True)
        text = b"".join([self._row % row for row in rows])
        return text.replace(b'""', b'"0"').replace(b",,", b",0,")

    def _last_ms(self, opened: int) -> int:
        if self._frame.seconds:
            return opened + self._frame.seconds * 1000 - 1
        return micros_of(self._frame.after(moment(opened * 1000))) * 1000 // SECOND_US - 1


def cells_of(block: bytes) -> list[bytes]:
    """Return the cells of whole lines, row after row."""
    cells = block.replace(b"\n", b",").split(b",")
    cells.pop()  # after the last comma
    return cells
