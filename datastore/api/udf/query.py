"""What the charting library asks: seconds since 1970, which may lie before all data or in the future. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from datastore.api.params import parameter
from datastore.api.params.parameter import MAX_ROWS, Parameter
from datastore.api.params.query_params import Accepted, Query, read
from datastore.api.params.symbols import TEXT_PATTERN, is_text
from datastore.api.params.times import EARLIEST, LATEST
from datastore.api.udf.resolutions import SUPPORTED, timeframe_of
from datastore.timeframes.intervals import EPOCH

MAX_FOUND, DEFAULT_FOUND = 100, 30  # symbols of one search
MAX_SEARCH_LENGTH = 100  # characters
_EARLIEST_S, _LATEST_S = (EARLIEST - EPOCH).total_seconds(), (LATEST - EPOCH).total_seconds() - 1
_MOST_S = 10**11 - 1  # milliseconds are more


def parse_seconds(text: str) -> float:
    """Return seconds since 1970; raise ValueError for what cannot be seconds."""
    seconds = parameter.parse_number(text, -_MOST_S, _MOST_S)
    if seconds is None:
        raise ValueError("is not a time in seconds since 1970.")
    return seconds


def parse_text(text: str) -> str:
    """Return what is searched for; raise ValueError if nobody could mean it."""
    if len(text) > MAX_SEARCH_LENGTH or not is_text(text):
        raise ValueError(f"is not up to {MAX_SEARCH_LENGTH} characters, none of them for control.")
    return text


def instant(seconds: float) -> datetime:
    """Return a time, moved between 2000 and 2100: the library asks far beyond all data."""
    return EPOCH + timedelta(seconds=min(max(seconds, _EARLIEST_S), _LATEST_S))


_TEXT = {"type": "string", "maxLength": MAX_SEARCH_LENGTH, "pattern": TEXT_PATTERN}
_NUMBER = {"type": "number", "minimum": -_MOST_S, "maximum": _MOST_S}
SYMBOL = Parameter(parameter.MARKET.parse, "A market: its `ticker`.", parameter.MARKET.schema, parameter.MARKET.example)
RESOLUTION = Parameter(
    timeframe_of,
    "Minutes of a bar, or 1D, 1W, 1M; D, W and M mean the same.",
    {"type": "string", "enum": SUPPORTED},
    "1",
)
FROM = Parameter(parse_seconds, "The first bar begins here or later; seconds since 1970.", _NUMBER, 1764028800)
TO = Parameter(parse_seconds, "The last bar begins before; seconds since 1970.", _NUMBER, 1764032400)
COUNTBACK = Parameter(
    lambda text: parameter.parse_limit(text, MAX_ROWS),
    "How many bars before `to`; `from` then counts for nothing.",
    {"type": "integer", "minimum": 1, "maximum": MAX_ROWS},
)
SYMBOLS: Accepted = {"symbol": SYMBOL}
SEARCH: Accepted = {
    "query": Parameter(parse_text, "A part of a market's name.", _TEXT),
    "type": Parameter(parse_text, "`crypto`, or nothing for all.", _TEXT),
    "exchange": Parameter(parse_text, "An exchange, or nothing for all.", _TEXT),
    "limit": parameter.limit(MAX_FOUND),
}
HISTORY: Accepted = {"symbol": SYMBOL, "resolution": RESOLUTION, "from": FROM, "to": TO, "countback": COUNTBACK}
MARKS: Accepted = {"symbol": SYMBOL, "resolution": RESOLUTION, "from": FROM, "to": TO}
HISTORY_NEEDS, MARKS_NEED = ("symbol", "resolution", "to"), ("symbol", "resolution", "from", "to")


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """Bars that begin before stop: from start on, or with count the newest so many, whatever start is."""

    market: str
    timeframe: str
    start: datetime
    stop: datetime
    count: int | None = None


@dataclass(frozen=True, slots=True)
class SearchQuestion:
    """A part of a name, and the exchange (empty: any); type: as asked for, empty for all."""

    text: str
    type: str
    exchange: str
    limit: int


def history_question(query: Query) -> HistoryQuestion:
    """Return what /history asks for. Raises BadParameters, like all functions below."""
    counted = "countback" in query
    # The library sends a `from` far before all data, or behind `to`, together with `countback`, which goes before it.
    asked = {name: texts for name, texts in query.items() if not (counted and name == "from")}
    values = read(asked, HISTORY, HISTORY_NEEDS if counted else (*HISTORY_NEEDS, "from"))
    start, stop = instant(values.get("from", 0)), instant(values["to"])
    return HistoryQuestion(values["symbol"], values["resolution"], start, stop, values.get("countback"))


def marks_question(query: Query) -> HistoryQuestion:
    """Return what /marks and /timescale_marks ask for."""
    values = read(query, MARKS, MARKS_NEED)
    start, stop = instant(values["from"]), instant(values["to"])
    return HistoryQuestion(values["symbol"], values["resolution"], start, stop)


def symbol_question(query: Query) -> str:
    """Return the market that /symbols names."""
    symbol: str = read(query, SYMBOLS, ("symbol",))["symbol"]
    return symbol


def search_question(query: Query) -> SearchQuestion:
    """Return what /search asks for; a parameter without text is one that is not given."""
    values = read({name: texts for name, texts in query.items() if texts != [""]}, SEARCH)
    limit = values.get("limit", DEFAULT_FOUND)
    return SearchQuestion(values.get("query", ""), values.get("type", ""), values.get("exchange", ""), limit)
