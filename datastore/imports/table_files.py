"""A table of one's own as lines, and the names of its columns: CSV and NDJSON, also packed by gzip, and Parquet.

A line of CSV is split by the columns of the first one. Lines of NDJSON are objects. The rows of Parquet become such
lines, with times as microseconds and floats as the shortest decimal that means the same float.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from datastore.imports.checked_file import DAMAGED, MAX_LINE_BYTES, PACKED, BadFile
from datastore.imports.rows import BadLine
from datastore.series.written_format import EXTRA
from datastore.wording import counted

CSV, NDJSON, PARQUET = (".csv",), (".ndjson", ".jsonl"), (".parquet",)
ENDINGS = (*CSV, *NDJSON, *PARQUET, *(f"{ending}{PACKED}" for ending in (*CSV, *NDJSON)))
PARQUET_ROWS = 10_000
Cells = Mapping[str, str | None]  # what a line has in each column


@dataclass(frozen=True, slots=True)
class TableFile:
    """How a table is read: its columns, what splits a line into cells, its heading, and what opens its lines."""

    columns: tuple[str, ...]
    split: Callable[[str], Cells]
    header: str = ""
    lines: Callable[[Path], Any] | None = None


def table_of(path: Path) -> TableFile:
    """Return how a file is read, by its ending; raise BadFile."""
    ending = path.suffix if path.suffix != PACKED else f"{path.with_suffix('').suffix}{PACKED}"
    if ending not in ENDINGS:
        raise BadFile(path.name, f"its ending is none of {', '.join(ENDINGS)}, and its name none of Binance's")
    try:
        if path.suffix in PARQUET:
            return TableFile(tuple(_parquet(path).schema_arrow.names), _object, lines=_parquet_lines)
        opened: Any = gzip.open if path.suffix == PACKED else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            first = file.readline(MAX_LINE_BYTES).rstrip("\r\n")
    except (*DAMAGED, OSError, ValueError) as exc:
        raise BadFile(path.name, f"it cannot be read: {exc}") from None
    if ending.removesuffix(PACKED) in NDJSON:
        try:
            return TableFile(tuple(_object(first)), _object)
        except BadLine as exc:
            raise BadFile(path.name, str(exc), 1) from None
    columns = tuple(name.strip() for name in next(csv.reader([first]), []))
    return TableFile(columns, lambda line: _cells(columns, line), first)


def _cells(columns: tuple[str, ...], line: str) -> Cells:
    values = next(csv.reader([line]), [])
    if len(values) != len(columns):
        raise BadLine(f"it has {counted(len(values), 'column')}, the first line {len(columns)}")
    return {name: value.strip() or None for name, value in zip(columns, values, strict=True)}


def _object(line: str) -> Cells:
    try:
        found = json.loads(line, parse_float=Decimal)
    except ValueError:
        raise BadLine("it is no JSON") from None
    if not isinstance(found, dict):
        raise BadLine("it is no JSON object")
    return {name: None if value is None else str(value) for name, value in found.items()}


def _parquet(path: Path) -> Any:
    try:
        library = import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise BadFile(path.name, f"Parquet needs pyarrow, an extra that is not installed here: {EXTRA}") from None
    return library.ParquetFile(path)


@contextmanager
def _parquet_lines(path: Path) -> Iterator[tuple[Iterator[bytes], int]]:
    """Open the rows of a Parquet file as lines; of their size only the file's is known."""
    try:
        with _parquet(path) as file:
            yield _json_lines(file), path.stat().st_size
    except ValueError as exc:  # as pyarrow says that a file is damaged
        raise BadFile(path.name, f"it is damaged: {exc}") from None


def _json_lines(file: Any) -> Iterator[bytes]:
    arrow = import_module("pyarrow")
    for batch in file.iter_batches(PARQUET_ROWS):
        table = arrow.Table.from_batches([batch])
        for place, column in enumerate(table.schema):
            if arrow.types.is_timestamp(column.type):
                micros = table.column(place).cast(arrow.timestamp("us"), safe=False).cast(arrow.int64())
                table = table.set_column(place, column.name, micros)
        yield from (json.dumps(row, default=str).encode() for row in table.to_pylist())
