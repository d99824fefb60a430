"""How a candle is written as text: the database writes it, so that no row is ever touched cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = ("time", "open", "high", "low", "close", "volume", "quote_volume", "trades", "source", "closed", "revision")
FILL = "fill"  # the source of an invented row
CLOSE_CELL = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """How a row's cells are laid out. Open times come in seconds, so three zeros after them make milliseconds.

    row: (time, open, high, low, close, volume, quote volume, trades, source, closed, revision); empty: (time, source,
    closed), a row without numbers; absent: an unknown number of trades; between: what no row holds. start, end: what is
    around the cells of a row; options: those of a COPY that writes the cells.
    """

    row: str
    empty: str
    absent: str
    between: str
    start: str = ""
    end: str = ""
    options: str = ""

    def flat(self, seconds: int, close: str, closed: bool) -> str:
        """Return the row of a bucket in which nothing was traded."""
        return self.row % (seconds, close, close, close, close, 0, 0, 0, FILL, _flag(closed), 0)

    def unknown(self, seconds: int, closed: bool) -> str:
        """Return the row of a bucket of which nothing is known."""
        return self.empty % (seconds, FILL, _flag(closed))


def close_of(row: str) -> str:
    """Return the close in a row of any shape."""
    return row.split(",", CLOSE_CELL + 1)[CLOSE_CELL].strip('"')


def _flag(value: bool) -> str:
    return "true" if value else "false"


_NULLS = ",".join(["null"] * 7)
_QUOTED = ", null 'null', force_quote ({})"
EXACT = Shape(
    '[%s000,"%s","%s","%s","%s","%s","%s",%s,"%s",%s,%s]',
    f'[%s000,{_NULLS},"%s",%s,0]',
    "null",
    ",\n",
    "[",
    "]",
    _QUOTED.format("open, high, low, close, volume, quote_volume, source"),
)
NUMBERS = Shape(
    '[%s000,%s,%s,%s,%s,%s,%s,%s,"%s",%s,%s]', EXACT.empty, "null", ",\n", "[", "]", _QUOTED.format("source")
)
CSV = Shape("%s000,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s", f"%s000{',' * 8}%s,%s,0", "", "\n")
