"""Rows as a sequence of typed records, and as a table of Arrow, pandas or polars.

Prices and volumes keep every digit: Decimal in records and in pandas, decimals with as many places as the longest
number in Arrow and polars. `floats=True` gives float64 instead. The libraries are imported when they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from candlekeep_client.errors import MissingExtra

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

R = TypeVar("R")
METADATA_KEY = "candlekeep"
MAX_DIGITS = 38  # of a decimal in 128 bits


class Kind(Enum):
    """What a column holds."""

    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    DECIMAL = "decimal"
    WHOLE = "whole"
    TEXT = "text"
    FLAG = "flag"


TIMES = (Kind.MILLISECONDS, Kind.MICROSECONDS)


class Table(Sequence[R], Generic[R]):
    """Rows of one kind, kept as the API sent them and made into records when they are looked at."""

    KINDS: ClassVar[Mapping[str, Kind]]  # by column, in order

    def __init__(self, cells: Sequence[Sequence[Any]]) -> None:
        self._cells = cells

    def _record(self, cells: Sequence[Any]) -> R:
        raise NotImplementedError

    def metadata(self) -> dict[str, Any]:
        """Return what tables carry under the key `candlekeep`."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> list[R]: ...
    def __getitem__(self, place: int | slice) -> R | list[R]:
        """Return a record, or a list of them."""
        if isinstance(place, slice):
            return [self._record(cells) for cells in self._cells[place]]
        return self._record(self._cells[place])

    def __iter__(self) -> Iterator[R]:
        return map(self._record, self._cells)

    @property
    def rows(self) -> list[R]:
        """Return all records."""
        return list(self)

    def to_arrow(self, *, floats: bool = False) -> pyarrow.Table:
        """Return an Arrow table; its schema's metadata has `metadata()` as JSON. Raises MissingExtra."""
        arrow = _library("pyarrow", "arrow")

        def array(kind: Kind, values: Sequence[Any]) -> Any:
            if kind is Kind.DECIMAL:
                places, digits = _size_of(values)
                exact = (arrow.decimal128 if digits <= MAX_DIGITS else arrow.decimal256)(
                    max(digits, MAX_DIGITS), places
                )
                return arrow.array(values, arrow.string()).cast(arrow.float64() if floats else exact)
            types = {Kind.WHOLE: arrow.int64(), Kind.TEXT: arrow.string(), Kind.FLAG: arrow.bool_()}
            return arrow.array(values, arrow.timestamp(kind.value, "UTC") if kind in TIMES else types[kind])

        arrays = [array(kind, values) for kind, values in zip(self.KINDS.values(), self._columns(), strict=True)]
        metadata = {METADATA_KEY: json.dumps(self.metadata())}
        return arrow.Table.from_arrays(arrays, names=list(self.KINDS), metadata=metadata)

    def to_polars(self, *, floats: bool = False) -> polars.DataFrame:
        """Return a polars frame. Raises MissingExtra, and ValueError for numbers of more than its 38 digits."""
        library = _library("polars", "polars")

        def series(name: str, kind: Kind, values: Sequence[Any]) -> Any:
            if kind is Kind.DECIMAL:
                places, digits = _size_of(values)
                if digits > MAX_DIGITS and not floats:
                    raise ValueError(f"{name} has {digits} digits, polars holds {MAX_DIGITS}: use floats=True or Arrow")
                text = library.Series(name, values, library.String)
                # Not by str.to_decimal, which knows no scale in the oldest polars that is allowed.
                return text.cast(library.Float64 if floats else library.Decimal(MAX_DIGITS, places))
            types = {Kind.WHOLE: library.Int64, Kind.TEXT: library.String, Kind.FLAG: library.Boolean}
            if kind in TIMES:
                return library.Series(name, values, library.Int64).cast(library.Datetime(kind.value, "UTC"))
            return library.Series(name, values, types[kind])

        pairs = zip(self.KINDS.items(), self._columns(), strict=True)
        frame: polars.DataFrame = library.DataFrame([series(name, kind, values) for (name, kind), values in pairs])
        return frame

    def to_pandas(self, *, floats: bool = False) -> pandas.DataFrame:
        """Return a pandas frame, indexed by time; `frame.attrs["candlekeep"]` has `metadata()`. Raises MissingExtra."""
        library = _library("pandas", "pandas")

        def series(kind: Kind, values: Sequence[Any]) -> Any:
            if kind is Kind.DECIMAL:
                if floats:
                    return library.Series([None if text is None else float(text) for text in values], dtype="float64")
                return library.Series([_decimal(text) for text in values], dtype="object")
            if kind in TIMES:
                return library.Series(library.to_datetime(list(values), unit=kind.value, utc=True))
            return library.Series(values, dtype={Kind.WHOLE: "Int64", Kind.TEXT: "str", Kind.FLAG: "bool"}[kind])

        pairs = zip(self.KINDS.items(), self._columns(), strict=True)
        frame: pandas.DataFrame = library.DataFrame({name: series(kind, values) for (name, kind), values in pairs})
        frame = frame.set_index(next(iter(self.KINDS)))
        frame.attrs[METADATA_KEY] = self.metadata()
        return frame

    def _columns(self) -> list[tuple[Any, ...]]:
        return list(zip(*self._cells, strict=True)) if self._cells else [()] * len(self.KINDS)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _size_of(values: Sequence[str | None]) -> tuple[int, int]:
    """Return how many places and digits in all hold each of these numbers."""
    whole = places = 0
    for text in values:
        if text is not None:
            before, _, behind = text.lstrip("-").partition(".")
            whole, places = max(whole, len(before)), max(places, len(behind))
    return places, whole + places


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name != name:
            raise
        raise MissingExtra(name, extra) from None
