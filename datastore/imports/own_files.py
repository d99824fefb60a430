"""Trades and candles of a table of one's own: which column is what, in which unit times are, and who a trade is.

Columns are found by their usual names, or named. Times are whole or decimal seconds, milliseconds, microseconds or
nanoseconds since 1970, distinguished by their size, or ISO 8601, UTC unless it has an offset. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from datastore.imports.cells import NUMBER, contradict, price_of, size_of, whole_of, without_zeros
from datastore.imports.checked_file import BadFile
from datastore.imports.rows import (
    MARK,
    BadLine,
    CandleRow,
    FileFormat,
    TradeRow,
    follows_by_id,
    follows_in_time,
    follows_or_ties,
)
from datastore.imports.table_files import Cells, table_of
from datastore.reference.traits import Proof, Traits
from datastore.timeframes.intervals import SECOND_US, micros_of
from streaming.bounds import MAX_BIGINT
from streaming.records import MAX_IDS, MAX_TEXT_LENGTH, Micros

# Each field, and the names under which others write it, in small letters.
TIME = ("time", "timestamp", "ts", "date", "datetime", "time_s", "time_ms", "time_us", "time_ns")
TRADE: Mapping[str, Sequence[str]] = {
    "time": (*TIME, "transact_time", "trade_time", "t"),
    "id": ("id", "trade_id", "tradeid", "tid", "agg_trade_id", "a"),
    "first": ("first", "first_id", "first_trade_id", "f"),
    "last": ("last", "last_id", "last_trade_id", "l"),
    "price": ("price", "p", "rate"),
    "amount": ("amount", "quantity", "qty", "size", "volume", "vol", "q"),
    "side": ("side", "taker_side", "direction"),
    "buyer_is_maker": ("buyer_is_maker", "is_buyer_maker", "isbuyermaker", "m"),
}
CANDLE: Mapping[str, Sequence[str]] = {
    "time": (*TIME, "open_time", "opentime", "start", "t"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "base_volume", "v"),
    "quote_volume": ("quote_volume", "quote_asset_volume", "quotevolume", "volume_quote", "turnover"),
}
TRADE_NEEDS, CANDLE_NEEDS = ("time", "price", "amount"), ("time", "open", "high", "low", "close", "volume")
SIDES = {"buy": 1, "b": 1, "bid": 1, "1": 1, "sell": -1, "s": -1, "ask": -1, "-1": -1, "": 0, "0": 0, "unknown": 0}
TRUTH = {"true": True, "1": True, "false": False, "0": False}
UNITS = {"s": Decimal(SECOND_US), "ms": Decimal(1000), "us": Decimal(1), "ns": Decimal("0.001")}  # in microseconds
EARLIEST, LATEST = (micros_of(datetime(year, 1, 1, tzinfo=UTC)) for year in (2000, 2100))

R = TypeVar("R", CandleRow, TradeRow)


def own_candles(path: Path, length: Micros, chosen: Mapping[str, str]) -> FileFormat[CandleRow]:
    """Return how a table of candles of so many microseconds is read; chosen: columns by field. Raises BadFile."""
    time = TimeReader()

    def read(cells: Cells) -> CandleRow:
        start = time.read(cells["time"] or "")
        first, high, low, close = (price_of(cells[name] or "") for name in ("open", "high", "low", "close"))
        if start % length:
            raise BadLine("it does not begin with a bucket")
        if contradict(first, high, low, close):
            raise BadLine("its prices contradict each other")
        quote = cells.get("quote_volume")
        return CandleRow(
            start, first, high, low, close, size_of(cells["volume"] or ""), None if quote is None else size_of(quote)
        )

    return _format(path, CandleRow, (CANDLE, CANDLE_NEEDS), chosen, lambda _: (read, follows_in_time))


def own_trades(path: Path, traits: Traits, chosen: Mapping[str, str]) -> FileFormat[TradeRow]:
    """Return how a table of trades of a provider is read; chosen: columns by field. Raises BadFile."""
    counts = Proof.IDS in traits.proofs

    def made(found: Mapping[str, str]) -> tuple[Callable[[Cells], TradeRow], Callable[[TradeRow, TradeRow], bool]]:
        if counts and "id" not in found:
            raise BadFile(
                path.name,
                f"there is no column of ids (--columns id=…). {traits.name} counts its trades: under invented ids they "
                "would be stored twice once they come from there",
            )
        if counts and traits.stream.aggregates and not {"first", "last"} <= found.keys():
            raise BadFile(
                path.name,
                f"{traits.name} names trades by the aggregate that holds them: the columns first and last, with the "
                "ids in it, are needed beside its id",
            )
        return TradeReader(counts).read, follows_by_id if counts else follows_or_ties

    return _format(path, TradeRow, (TRADE, TRADE_NEEDS), chosen, made)


class TimeReader:
    """Reads the times of one file, all in the unit of the first."""

    def __init__(self) -> None:
        self.unit: str | None = None

    def read(self, text: str) -> Micros:
        """Return a time; raise BadLine if it is none between 2000 and 2100, or in another unit than those before."""
        if not NUMBER.fullmatch(text):
            return self._iso(text)
        # At most one unit is possible: a century holds less than a thousand times the time since 1970.
        possible = {unit: int(Decimal(text) * micros) for unit, micros in UNITS.items()}
        fitting = [(unit, at) for unit, at in possible.items() if EARLIEST <= at < LATEST]
        if not fitting:
            raise BadLine(f"{text!r} is no time between 2000 and 2100 in {', '.join(UNITS)}")
        ((unit, at),) = fitting
        self.unit = self.unit or unit
        if unit != self.unit:
            raise BadLine(f"its time {text!r} is in {unit}, those before in {self.unit}")
        return at

    def _iso(self, text: str) -> Micros:
        try:
            found = datetime.fromisoformat(text)
            at = micros_of(found if found.tzinfo else found.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            raise BadLine(f"{text!r} is no time") from None
        if not EARLIEST <= at < LATEST:
            raise BadLine(f"{text!r} is no time between 2000 and 2100")
        return at


class TradeReader:
    """Reads the trades of one file, in its order."""

    def __init__(self, counts: bool) -> None:
        """counts: the venue counts its trades, so that their ids are numbers and prove that none is missing."""
        self._counts, self._time = counts, TimeReader()
        self._start, self._alike = 0, dict[str, int]()  # of the newest time, how often each content came

    def read(self, cells: Cells) -> TradeRow:
        """Return the trade in a line; raise BadLine."""
        start = self._time.read(cells["time"] or "")
        price, amount, side = price_of(cells["price"] or ""), size_of(cells["amount"] or ""), _side(cells)
        id = cells.get("id")
        if self._counts:
            number = whole_of(id or "")
            first, last = (whole_of(cells.get(name) or str(number)) for name in ("first", "last"))
            if not first <= last < first + MAX_IDS or max(number, last) >= MAX_BIGINT:
                raise BadLine(f"it covers the ids from {first} to {last}")
            return TradeRow(start, str(number), number, first, last, price, amount, side)
        if id is None:
            mark = self._marked(start, f"{without_zeros(price)} {without_zeros(amount)} {side}")
            return TradeRow(start, mark, None, None, None, price, amount, side)
        if len(id) > MAX_TEXT_LENGTH:
            raise BadLine("its id is too long")
        number_or_none = int(id) if id.isdigit() and int(id) < MAX_BIGINT else None
        return TradeRow(start, id, number_or_none, None, None, price, amount, side)

    def _marked(self, start: Micros, content: str) -> str:
        """Return an id for a trade without one: the same in every file that has the trades of its time."""
        if start != self._start:
            self._start, self._alike = start, {}
        self._alike[content] = self._alike.get(content, 0) + 1
        return f"{MARK}{hashlib.sha256(content.encode()).hexdigest()[:16]}-{self._alike[content]}"


def _side(cells: Cells) -> int:
    maker = cells.get("buyer_is_maker")
    side = SIDES.get((cells.get("side") or "").lower())
    if side is None:
        raise BadLine(f"{cells['side']!r} is no side: buy or sell")
    if maker is None:
        return side
    if maker.lower() not in TRUTH:
        raise BadLine(f"{maker!r} is neither true nor false")
    return -1 if TRUTH[maker.lower()] else 1


def _format(
    path: Path,
    row: type[R],
    fields: tuple[Mapping[str, Sequence[str]], Sequence[str]],
    chosen: Mapping[str, str],
    made: Callable[[Mapping[str, str]], tuple[Callable[[Cells], R], Callable[[R, R], bool]]],
) -> FileFormat[R]:
    table = table_of(path)
    found = _columns(path.name, table.columns, fields, chosen)
    read, follows = made(found)

    def read_line(line: str) -> R:
        cells = table.split(line)
        return read({field: cells.get(column) for field, column in found.items()})

    return FileFormat(row, read_line, follows, (EARLIEST, LATEST), table.header, table.lines)


def _columns(
    name: str,
    columns: Sequence[str],
    fields: tuple[Mapping[str, Sequence[str]], Sequence[str]],
    chosen: Mapping[str, str],
) -> dict[str, str]:
    """Return the column of each field; raise BadFile if one is missing, or two could be meant."""
    usual, needed = fields
    if unknown := chosen.keys() - usual.keys():
        raise BadFile(name, f"--columns: {min(unknown)} is none of {', '.join(usual)}")
    found: dict[str, str] = {}
    for field, names in usual.items():
        wanted = chosen.get(field)
        fitting = [one for one in columns if one == wanted or (not wanted and one.lower().replace(" ", "_") in names)]
        if wanted and not fitting:
            raise BadFile(name, f"--columns: there is no column {wanted!r}; its columns are {', '.join(columns)}")
        if len(fitting) > 1:
            raise BadFile(name, f"{' and '.join(fitting)} could both be the {field}: say --columns {field}=…")
        found.update((field, column) for column in fitting)
    if missing := [field for field in needed if field not in found]:
        field, there = missing[0], ", ".join(columns)
        raise BadFile(name, f"no column is known to be the {field}: say --columns {field}=…; they are {there}")
    return found
