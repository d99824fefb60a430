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
    closed), a row without numbers; absent: an unknown number of trades; between: what no row holds.
    """

    row: str
    empty: str
    absent: str
    between: str

    def flat(self, seconds: int, close: str, closed: bool) -> str:
        """Return the row of a bucket in which nothing was traded."""
        return self.row % (seconds, close, close, close, close, 0, 0, 0, FILL, _flag(closed), 0)

    def unknown(self, seconds: int, closed: bool) -> str:
        """Return the row of a bucket of which nothing is known."""
        return self.empty % (seconds, FILL, _flag(closed))


def close_of(row: str) -> str:
    """Return the close in a row of any shape."""
    return row.split(",", CLOSE_CELL + 1)[CLOSE_CELL].rpartition(":")[2].strip('"')


def _object_of(row: str) -> str:
    """Return an array's layout as that of an object with the columns' names."""
    cells = zip(COLUMNS, row.strip("[]").split(","), strict=True)
    fields = ",".join(f'"{name}":{cell}' for name, cell in cells)
    return f"{{{fields}}}"


def _flag(value: bool) -> str:
    return "true" if value else "false"


_NULLS = ",".join(["null"] * 7)
EXACT = Shape('[%s000,"%s","%s","%s","%s","%s","%s",%s,"%s",%s,%s]', f'[%s000,{_NULLS},"%s",%s,0]', "null", ",\n")
NUMBERS = Shape('[%s000,%s,%s,%s,%s,%s,%s,%s,"%s",%s,%s]', EXACT.empty, "null", ",\n")
CSV = Shape("%s000,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s", f"%s000{',' * 8}%s,%s,0", "", "\n")
NDJSON = Shape(_object_of(EXACT.row), _object_of(EXACT.empty), "null", "\n")
NDJSON_NUMBERS = Shape(_object_of(NUMBERS.row), NDJSON.empty, "null", "\n")
