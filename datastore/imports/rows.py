"""What a source makes of a file: typed rows, whatever the format. Times are whole microseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from streaming.records import Micros

MARK = "imported:"  # how the id begins that we give to a trade without one


class BadLine(ValueError):
    """Why a line cannot be imported."""


class CandleRow(NamedTuple):
    """A candle of the venue's own; it is quiet if nothing was traded in its time."""

    start: Micros
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing was traded: no volume, and no price moved."""
        return self.volume == 0 and not self.quote_volume and self.open == self.high == self.low == self.close


class TradeRow(NamedTuple):
    """A trade under the venue's name for it, `id`, and `number` where that is one.

    It covers the venue's consecutive ids from `first` to `last`; None where the venue does not count its trades.
    """

    start: Micros
    id: str
    number: int | None
    first: int | None
    last: int | None
    price: Decimal
    amount: Decimal
    side: int  # the taker's: 1 buy, -1 sell, 0 unknown


Row = TypeVar("Row", CandleRow, TradeRow)


@dataclass(frozen=True, slots=True)
class FileFormat(Generic[Row]):
    """How the lines of one file are read.

    row: what a line is. read: returns a line's row, None if it says nothing; raises BadLine; called once for each, in
    order. follows: raises BadLine if a row cannot follow the one before it; returns False if it is the same again.
    period: every row starts in it. lines: opens the lines of a file that is neither text nor a zip, and their bytes.
    """

    row: type[Row]
    read: Callable[[str], Row | None]
    follows: Callable[[Row, Row], bool]
    period: tuple[Micros, Micros]
    header: str = ""  # what the first line begins with where there is a heading
    lines: Callable[[Path], AbstractContextManager[tuple[Iterator[bytes], int]]] | None = None


def follows_in_time(row: CandleRow, before: CandleRow) -> bool:
    """Return whether a candle is another one than that before it; raise BadLine if it cannot follow it."""
    if row == before:
        return False
    if row.start <= before.start:
        raise BadLine("its time is not after that of the line before")
    return True


def follows_by_id(row: TradeRow, before: TradeRow) -> bool:
    """Return whether a counted trade is another one than that before it; raise BadLine if it cannot follow it."""
    if row == before:
        return False
    if (row.number or 0) <= (before.number or 0) or (row.first or 0) <= (before.last or 0):
        raise BadLine(f"its ids, {row.id} of {row.first} to {row.last}, are not after those of the line before")
    return True


def follows_or_ties(row: TradeRow, before: TradeRow) -> bool:
    """Return whether a trade is another one than that before it; raise BadLine if it cannot follow it."""
    if row.start < before.start:
        raise BadLine("its time is before that of the line before: sort the file by time")
    return row != before
