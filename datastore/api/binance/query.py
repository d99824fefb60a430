"""What clients of Binance ask; what cannot be read is refused with its codes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from datastore.api.binance.errors import (
    BAD_COMBINATION,
    BAD_INTERVAL,
    BAD_VALUE,
    ILLEGAL,
    MISSING,
    REPEATED,
    UNREAD,
    Refused,
)
from datastore.api.params.times import EARLIEST, LATEST, to_ms
from datastore.timeframes.intervals import EPOCH
from datastore.timeframes.timeframe import TIMEFRAMES

Query = Mapping[str, Sequence[str]]
DEFAULT_LIMIT, MAX_LIMIT = 500, 1000
MAX_SYMBOLS = 500  # of one call
DAY_MS = 86_400_000
WHOLE, MAX_WHOLE = "^[0-9]{1,20}$", 10**20 - 1
UTC_ZONES = ("0", "00:00", "+00:00", "-00:00", "0:00")


@dataclass(frozen=True, slots=True)
class KlinesQuestion:
    """Klines that begin from start to stop, both included (None: open); without start the newest ones."""

    symbol: str
    timeframe: str
    start: datetime | None
    stop: datetime | None
    limit: int


@dataclass(frozen=True, slots=True)
class BinanceTradesQuestion:
    """Trades: from an id, or from start to stop, both included; without either the newest ones."""

    symbol: str
    limit: int
    from_id: int | None = None
    start: datetime | None = None
    stop: datetime | None = None


def klines_question(query: Query) -> KlinesQuestion:
    """Return what klines and uiKlines ask for. Raises Refused, like all functions below."""
    values = _read(query, ("symbol", "interval", "startTime", "endTime", "timeZone", "limit"), ("symbol", "interval"))
    if values["interval"] not in TIMEFRAMES:
        raise Refused(BAD_INTERVAL, f"Invalid interval. Served here: {', '.join(TIMEFRAMES)}.")
    if values.get("timeZone", "0") not in UTC_ZONES:
        raise Refused(BAD_VALUE, "Data sent for parameter 'timeZone' is not valid. Buckets are those of UTC: 0.")
    start, stop = _time(values, "startTime"), _time(values, "endTime")
    return KlinesQuestion(values["symbol"], values["interval"], start, stop, _limit(values))


def recent_trades_question(query: Query) -> BinanceTradesQuestion:
    """Return what trades asks for."""
    values = _read(query, ("symbol", "limit"), ("symbol",))
    return BinanceTradesQuestion(values["symbol"], _limit(values))


def aggregates_question(query: Query) -> BinanceTradesQuestion:
    """Return what aggTrades asks for."""
    values = _read(query, ("symbol", "fromId", "startTime", "endTime", "limit"), ("symbol",))
    start, stop = _time(values, "startTime"), _time(values, "endTime")
    from_id = int(_whole(values, "fromId")) if "fromId" in values else None
    if from_id is not None and (start or stop):
        raise Refused(BAD_COMBINATION, "Combination of optional parameters invalid: fromId, or startTime and endTime.")
    return BinanceTradesQuestion(values["symbol"], _limit(values), from_id, start, stop)


def symbols_question(query: Query, *more: str) -> tuple[list[str] | None, bool, dict[str, str]]:
    """Return the symbols that are named (None: all), whether as one, and what more parameters say."""
    values = _read(query, ("symbol", "symbols", *more))
    if "symbol" in values and "symbols" in values:
        raise Refused(BAD_COMBINATION, "Combination of optional parameters invalid: symbol, or symbols.")
    rest = {name: values[name] for name in more if name in values}
    if "symbol" in values:
        return [values["symbol"]], True, rest
    if "symbols" not in values:
        return None, False, rest
    try:
        names = msgspec.json.decode(values["symbols"], type=list[str])
    except msgspec.MsgspecError:
        names = []
    if not 1 <= len(names) <= MAX_SYMBOLS:
        sentence = f"""Illegal characters found in parameter 'symbols'; 1 to {MAX_SYMBOLS} as in '["BTCUSDT"]'."""
        raise Refused(ILLEGAL, sentence)
    return list(dict.fromkeys(names)), False, rest


def nothing_asked(query: Query) -> None:
    """Refuse every parameter."""
    _read(query, ())


def one_of(values: Mapping[str, str], name: str, accepted: Sequence[str]) -> str:
    """Return a value, the first of those that are accepted if there is none."""
    value = values.get(name, accepted[0])
    if value not in accepted:
        raise Refused(BAD_VALUE, f"Data sent for parameter '{name}' is not valid. Accepted: {', '.join(accepted)}.")
    return value


def _read(query: Query, accepted: Sequence[str], required: Sequence[str] = ()) -> dict[str, str]:
    unread = [name[:60] for name in query if name not in accepted]
    if unread:
        sentence = f"read '{len(query) - len(unread)}' parameter(s) but was sent '{len(query)}'."
        known = f"Unknown: {', '.join(unread)}. Accepted: {', '.join(accepted) or 'none'}."
        raise Refused(UNREAD, f"Not all sent parameters were read; {sentence} {known}")
    for name, texts in query.items():
        if len(texts) != 1:
            raise Refused(REPEATED, f"Duplicate values for a parameter detected: '{name}'.")
    values = {name: texts[0] for name, texts in query.items() if texts[0]}
    for name in (*required, *(name for name in query if name not in values)):
        if name not in values:
            raise Refused(MISSING, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return values


def _limit(values: Mapping[str, str]) -> int:
    """Return how many rows: never more than MAX_LIMIT, as Binance does it."""
    if "limit" not in values:
        return DEFAULT_LIMIT
    limit = int(_whole(values, "limit"))
    if limit < 1:
        raise Refused(BAD_VALUE, "Data sent for parameter 'limit' is not valid. It begins at 1.")
    return min(limit, MAX_LIMIT)


def _time(values: Mapping[str, str], name: str) -> datetime | None:
    """Return a time in milliseconds; one on the first day of 1970 stands for the beginning of all data."""
    if name not in values:
        return None
    millis = int(_whole(values, name))
    if DAY_MS < millis < to_ms(EARLIEST) or millis >= to_ms(LATEST):
        sentence = f"Data sent for parameter '{name}' is not valid. It is in milliseconds, between 2000 and 2100."
        raise Refused(BAD_VALUE, sentence)
    return max(EPOCH + timedelta(milliseconds=millis), EARLIEST)


def _whole(values: Mapping[str, str], name: str) -> str:
    if not re.fullmatch(WHOLE.strip("^$"), values[name]):
        raise Refused(ILLEGAL, f"Illegal characters found in parameter '{name}'; legal range is '{WHOLE}'.")
    return values[name]
