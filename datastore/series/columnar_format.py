"""Candles as Arrow, Parquet and Feather, made of the lines of row_format.CSV, and trades. Only this imports pyarrow.

That is an extra, so this module is imported with the first such question (written_format.py), or before it where there
were others (columnar_use.py); and what only Parquet needs with the first of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv

from datastore.series.digits import Digits
from datastore.series.row_format import COLUMNS, CSV
from datastore.series.written_format import MAX_SCALE, PRECISION, NumberTooLong

# Arrow's own allocator keeps a heap for each thread that ever wrote an answer.
pa.set_memory_pool(pa.system_memory_pool())

METADATA_KEY = b"candlekeep"
MILLISECONDS = pa.timestamp("ms", "UTC")
ROW_GROUP_ROWS = 30_000
FEATHER_COLUMNS = ("time", "open", "high", "low", "close", "volume")
_EXACT = pa.decimal128(PRECISION, MAX_SCALE)  # what all trades need is nowhere known
TRADES = pa.schema(
    {
        "time": MILLISECONDS,
        "time_us": pa.int64(),
        "trade_id": pa.string(),
        "seq": pa.int64(),
        "side": pa.string(),
        "price": _EXACT,
        "amount": _EXACT,
        "received": MILLISECONDS,
    }
)


class ArrowWriter:
    """An Arrow IPC stream. certificate: JSON for the schema's metadata; digits: of decimal128; None: float64."""

    def __init__(self, certificate: bytes, digits: Digits | None) -> None:
        self._types = _types(digits)
        self._schema = self.schema_of(self._types).with_metadata({METADATA_KEY: certificate})
        self._converting = csv.ConvertOptions(column_types=self._types, strings_can_be_null=True)
        self._open()

    def head(self) -> bytes:
        """Return what precedes the rows."""
        return self._sink.taken()

    def rows(self, block: bytes) -> bytes:
        """Return what is ready after some more rows. Raises NumberTooLong."""
        reading = csv.ReadOptions(column_names=COLUMNS, use_threads=False, block_size=len(block) + 1)
        try:
            table = csv.read_csv(pa.BufferReader(block), reading, convert_options=self._converting)
        except pa.ArrowInvalid as error:
            raise NumberTooLong from error
        self._write(self.shown(table))
        return self._sink.taken()

    def tail(self) -> bytes:
        """Return what follows the rows."""
        self._writer.close()
        return self._sink.taken()

    def schema_of(self, types: Mapping[str, pa.DataType]) -> pa.Schema:
        """Return the columns of this format, of those that are read."""
        return pa.schema([*{**types, "time": MILLISECONDS}.items()])

    def shown(self, table: pa.Table) -> pa.Table:
        """Return rows in the columns of this format."""
        return table.set_column(0, "time", table["time"].cast(MILLISECONDS))

    def _open(self) -> None:
        self._sink = _Sink()
        self._begin(pa.PythonFile(self._sink, mode="w"))

    def _begin(self, sink: pa.PythonFile) -> None:
        self._writer = pa.ipc.new_stream(sink, self._schema)

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table)


class ParquetWriter(ArrowWriter):
    """A Parquet file, compressed by zstd; its rows come in groups, each of which is held in memory."""

    dictionaries = ("source",)  # of numbers that hardly repeat these would only cost time

    def tail(self) -> bytes:
        """Return what follows the rows."""
        self._flush()
        return super().tail()

    def _begin(self, sink: pa.PythonFile) -> None:
        from pyarrow import parquet

        self._waiting: list[pa.Table] = []
        self._writer = parquet.ParquetWriter(
            sink, self._schema, compression="zstd", use_dictionary=list(self.dictionaries)
        )

    def _write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        if sum(map(len, self._waiting)) >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting.clear()


class FeatherWriter(ArrowWriter):
    """A Feather file as freqtrade reads it: date, open, high, low, close and volume as floats, lz4."""

    def __init__(self, certificate: bytes, digits: Digits | None = None) -> None:
        super().__init__(certificate, None)

    def schema_of(self, types: Mapping[str, pa.DataType]) -> pa.Schema:
        """Return the columns of this format, of those that are read."""
        return pa.schema([("date", MILLISECONDS), *((name, types[name]) for name in FEATHER_COLUMNS[1:])])

    def shown(self, table: pa.Table) -> pa.Table:
        """Return rows in the columns of this format."""
        return super().shown(table).select(FEATHER_COLUMNS).rename_columns(self._schema.names)

    def _begin(self, sink: pa.PythonFile) -> None:
        self._writer = pa.ipc.new_file(sink, self._schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


class ArrowTrades(ArrowWriter):
    """Trades as an Arrow IPC stream, in the columns of GET trades. about: JSON for the schema's metadata."""

    def __init__(self, about: bytes) -> None:
        self._schema = TRADES.with_metadata({METADATA_KEY: about})
        self._open()

    def trades(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Return what is ready after some more rows. Raises NumberTooLong."""
        columns = zip(*rows, strict=True) if rows else [()] * len(TRADES)
        try:
            cells = [_column(column, field.type) for column, field in zip(columns, TRADES, strict=True)]
        except pa.ArrowInvalid as error:
            raise NumberTooLong from error
        self._write(pa.table(cells, self._schema))
        return self._sink.taken()


class ParquetTrades(ArrowTrades, ParquetWriter):
    """Trades as a Parquet file, compressed by zstd."""

    dictionaries = ("side",)


def _column(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return cells as a column: decimals come as text."""
    return pa.array(cells, pa.string()).cast(kind) if pa.types.is_decimal(kind) else pa.array(cells, kind)


def warm_up() -> None:
    """Write a row in each format: what the first one loads takes as long as to import pyarrow."""
    line = CSV.flat(0, "1", True).encode() + b"\n"
    for kind in (ArrowWriter, ParquetWriter, FeatherWriter):
        writer = kind(b"{}", Digits(0, 0, 0))
        writer.rows(line)
        writer.tail()


class _Sink:
    """A file that gives what was written to it, each byte once."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: all is there."""

    def taken(self) -> bytes:
        data = b"".join(self._written)
        self._written.clear()
        return data


def _types(digits: Digits | None) -> dict[str, pa.DataType]:
    def number(scale: int) -> pa.DataType:
        return pa.float64() if digits is None else pa.decimal128(PRECISION, min(scale, MAX_SCALE))

    price, volume, quote_volume = (number(scale) for scale in digits or (0, 0, 0))
    return {
        "time": pa.int64(),
        **dict.fromkeys(("open", "high", "low", "close"), price),
        "volume": volume,
        "quote_volume": quote_volume,
        "trades": pa.int64(),
        "source": pa.string(),
        "closed": pa.bool_(),
        "revision": pa.int64(),
    }
