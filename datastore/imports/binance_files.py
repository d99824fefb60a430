"""The files of Binance's public data (data.binance.vision), spot: klines and aggTrades, by day or by month. Pure.

BTCUSDT-1m-2024-01.zip, BTCUSDT-aggTrades-2024-01-05.zip: only the name says of which market and time a file is. Times
are milliseconds, from 2025 on microseconds. We keep trades to the millisecond, as socket and REST give them, so that a
trade is the same wherever it comes from. Source: binance-public-data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from datastore.imports.cells import WHOLE, contradict, price_of, size_of, whole_of
from datastore.imports.checked_file import BadFile
from datastore.imports.rows import BadLine, CandleRow, FileFormat, TradeRow, follows_by_id, follows_in_time
from datastore.timeframes.intervals import SECOND_US, micros_of
from datastore.wording import counted
from streaming.bounds import MAX_BIGINT
from streaming.records import MAX_IDS, Micros

PROVIDER = "binance"  # Binance.US is another market, and publishes none of these
RESOLUTIONS = {"1m": 60, "1h": 3600, "1d": 86_400}
NAME = re.compile(r"([A-Z0-9]{2,40})-([A-Za-z0-9]+)-(\d{4})-(\d\d)(?:-(\d\d))?\.(?:zip|csv)")
TRUTH = {"true": True, "false": False}
MS_US = 1000
UNITS = {13: MS_US, 16: 1}  # digits of a time -> microseconds in its unit
KLINE_COLUMNS, AGGREGATE_COLUMNS = (12,), (7, 8)  # the last one, the best match, came later
KLINE_HEADER, AGGREGATE_HEADER = "open_time", "agg_trade_id"
MARKER = ("-1", "-1")  # first and last: an aggregate that was sent twice, and holds no trade


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says: of which symbol, what, and of which time."""

    symbol: str
    kind: str
    start: Micros
    stop: Micros


def candle_format(path: Path, symbol: str) -> tuple[FileFormat[CandleRow], int]:
    """Return how a file of candles of this symbol is read, and their length in seconds; raise BadFile."""
    named = _named(path, symbol)
    resolution = RESOLUTIONS.get(named.kind)
    if resolution is None:
        kinds = ", ".join(RESOLUTIONS)
        raise BadFile(path.name, f"it has {named.kind}: candles of {kinds} are kept, the others are made of these")
    length = resolution * SECOND_US
    period = named.start, named.stop
    return FileFormat(CandleRow, lambda line: _candle(line, length), follows_in_time, period, KLINE_HEADER), resolution


def trade_format(path: Path, symbol: str) -> FileFormat[TradeRow]:
    """Return how a file of trades of this symbol is read; raise BadFile."""
    named = _named(path, symbol)
    if named.kind == "trades":
        # The venue's other answers name trades by the aggregate that holds them, and this file does not say which that
        # is: what is fetched later would be another trade under ids that are stored.
        raise BadFile(
            path.name,
            "its trades do not name their aggregates: take the aggTrades file of that time, with the same trades",
        )
    if named.kind != "aggTrades":
        raise BadFile(path.name, f"it has {named.kind}, not aggTrades")
    return FileFormat(TradeRow, _trade, follows_by_id, (named.start, named.stop), AGGREGATE_HEADER)


def is_published(path: Path) -> bool:
    """Return whether a file is named as Binance names its own, or is an archive as those are."""
    return path.suffix == ".zip" or NAME.fullmatch(path.name) is not None


def _named(path: Path, symbol: str) -> FileName:
    found = NAME.fullmatch(path.name)
    if found is None:
        raise BadFile(path.name, f"its name does not say what it is, as {symbol}-1m-2024-01.zip does")
    name, kind, year, month, day = found.groups()
    if name != symbol:
        raise BadFile(path.name, f"it is of {name}, and the market's symbol is {symbol}")
    try:
        start = datetime(int(year), int(month), int(day or 1), tzinfo=UTC)
    except ValueError:
        raise BadFile(path.name, "there is no such day") from None
    stop = start + timedelta(days=1) if day else (start + timedelta(days=31)).replace(day=1)
    return FileName(name, kind, micros_of(start), micros_of(stop))


def _fields(line: str, columns: tuple[int, ...]) -> list[str]:
    fields = line.split(",")
    if len(fields) not in columns:
        raise BadLine(f"it has {counted(len(fields), 'column')}, not {' or '.join(map(str, columns))}")
    return fields


def _candle(line: str, length: int) -> CandleRow:
    """Return a candle of so many microseconds; whatever it says of its end and of its takers is not kept."""
    fields = _fields(line, KLINE_COLUMNS)
    start, prices = _time(fields[0]), [price_of(text) for text in fields[1:5]]
    first, high, low, close = prices
    if start % length:
        raise BadLine("it does not begin with a bucket")
    if contradict(first, high, low, close):
        raise BadLine("its prices contradict each other")
    return CandleRow(start, first, high, low, close, size_of(fields[5]), size_of(fields[7]))


def _trade(line: str) -> TradeRow | None:
    """Return an aggregate as a trade; None for one that only marks another that was sent twice."""
    fields = _fields(line, AGGREGATE_COLUMNS)
    if (fields[3], fields[4]) == MARKER and size_of(fields[1]) == size_of(fields[2]) == 0:
        return None
    id, first, last = (whole_of(text) for text in (fields[0], *fields[3:5]))
    if not first <= last < first + MAX_IDS or last >= MAX_BIGINT:
        raise BadLine(f"it covers the ids from {first} to {last}")
    buyer_is_maker = TRUTH.get(fields[6].lower())
    if buyer_is_maker is None or fields[-1].lower() not in TRUTH:
        raise BadLine("its last columns are not true or false")
    start = _time(fields[5]) // MS_US * MS_US
    return TradeRow(
        start, str(id), id, first, last, price_of(fields[1]), size_of(fields[2]), -1 if buyer_is_maker else 1
    )


def _time(text: str) -> Micros:
    unit = UNITS.get(len(text)) if WHOLE.fullmatch(text) else None
    if unit is None:
        raise BadLine(f"{text!r} is no time in milliseconds or microseconds")
    return int(text) * unit
