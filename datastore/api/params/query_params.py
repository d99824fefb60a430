"""Read query strings strictly: an unknown, repeated, missing or bad parameter is a 400 that names it and the accepted.

All complaints about one query come at once. Pure: text in, typed questions out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rest_framework.request import Request

from actor_runtime.log_reading import LogFilter
from datastore.api.errors import BadParameters, shown
from datastore.api.params import parameter
from datastore.api.params.parameter import DEFAULT_WAIT_S, Parameter, choice
from datastore.series.fill import FILLS, NONE
from datastore.series.written_format import FORMATS

DEFAULT_ROWS = 500
DEFAULT_DEAD_LETTERS, MAX_DEAD_LETTERS = 50, 500
DEFAULT_LOG_LINES, MAX_LOG_LINES = 100, 1000
STRING = "string"
JSON = "json"
TRADE_FORMATS = ("csv", "ndjson", "arrow", "parquet")

Query = Mapping[str, Sequence[str]]
Accepted = Mapping[str, Parameter]

# What each address accepts; the OpenAPI document is made of these tables.
RANGE: Accepted = {"from": parameter.FROM, "to": parameter.TO, "limit": parameter.ROWS}
SERIES: Accepted = {"market": parameter.MARKET, "timeframe": parameter.TIMEFRAME, **RANGE}
CANDLES: Accepted = {
    **SERIES,
    "closed_only": parameter.CLOSED_ONLY,
    "numbers": choice(
        (STRING, "float"), "Prices and volumes as exact text, or the same digits without quotes. Default: string."
    ),
    "format": choice(
        (JSON, *FORMATS),
        "The form of the answer; default: what Accept asks for, else json. All but json take a range of any length.",
    ),
    "fill": choice(
        FILLS, "A row for each bucket in which nothing was traded: none, one without numbers, or the close before it."
    ),
    "raw": parameter.RAW,
    "wait": parameter.WAIT,
}
STREAM: Accepted = {
    "market": parameter.MARKET,
    "timeframe": parameter.TIMEFRAME,
    "cursor": parameter.CURSOR,
    "limit": parameter.ROWS,
}
BACKFILL: Accepted = {
    "market": parameter.MARKET,
    "timeframe": parameter.TIMEFRAME,
    "from": parameter.FROM,
    "to": parameter.TO,
    "again": parameter.AGAIN,
}
DEAD_LETTERS: Accepted = {
    "topic": parameter.TOPIC,
    "market": parameter.MARKET,
    "limit": parameter.limit(MAX_DEAD_LETTERS),
    "cursor": parameter.CURSOR,
}
ACTOR_LOG: Accepted = {
    "kind": parameter.KIND,
    "name": parameter.ACTOR_NAME,
    "event": parameter.EVENT,
    "from": parameter.LOG_FROM,
    "to": parameter.LOG_TO,
    "limit": parameter.limit(MAX_LOG_LINES),
    "cursor": parameter.CURSOR,
}
TRADES: Accepted = {
    "market": parameter.MARKET,
    **RANGE,
    "cursor": parameter.CURSOR,
    "format": choice(
        (JSON, *TRADE_FORMATS),
        "The form of the answer; default: what Accept asks for, else json. All but json take a range of any length.",
    ),
}
NEW_MARKET: Accepted = {"market": parameter.MARKET}
TICKERS: Accepted = {"markets": parameter.MARKETS}
SCHEMA: Accepted = {"format": choice(("json", "yaml"), "The form of the answer. Default: json.")}
ONE_MARKET, ONE_SERIES, ONE_SPAN = ("market",), ("market", "timeframe"), ("market", "timeframe", "from")  # required


@dataclass(frozen=True, slots=True)
class SeriesQuestion:
    """A stretch of one candle series: start and stop as asked for, not yet floored to buckets; wait in seconds."""

    market: str
    timeframe: str
    start: datetime | None
    stop: datetime | None
    limit: int | None
    closed_only: bool = False
    numbers: str = STRING
    fill: str = NONE
    wait: float = DEFAULT_WAIT_S
    raw: bool = False
    format: str | None = None


@dataclass(frozen=True, slots=True)
class StreamQuestion:
    """A series to follow: from a cursor on, else from its newest `limit` buckets."""

    market: str
    timeframe: str
    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class BackfillQuestion:
    """A stretch of one candle series to be fetched, without stop up to now; again: also what is final."""

    market: str
    timeframe: str
    start: datetime
    stop: datetime | None
    again: bool = False


@dataclass(frozen=True, slots=True)
class TradesQuestion:
    """A stretch of one market's trades; the cursor names the last trade already read."""

    market: str
    start: datetime | None
    stop: datetime | None
    limit: int | None
    cursor: str | None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLettersQuestion:
    """Dead letters of one topic, one market, or all; the cursor names the last one already read."""

    topic: str | None
    market: str | None
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Lines of the actors' log, the newest first; the cursor names the last one already read."""

    wanted: LogFilter
    limit: int
    cursor: str | None


def candles_question(query: Query) -> SeriesQuestion:
    """Return what GET candles asks for. Raises BadParameters, like all functions below."""
    values = read(query, CANDLES, required=ONE_SERIES)
    return SeriesQuestion(
        market=values["market"],
        timeframe=values["timeframe"],
        start=values.get("from"),
        stop=values.get("to"),
        limit=values.get("limit"),
        closed_only=values.get("closed_only", False),
        numbers=values.get("numbers", STRING),
        fill=values.get("fill", NONE),
        wait=values.get("wait", DEFAULT_WAIT_S),
        raw=values.get("raw", False),
        format=values.get("format"),
    )


def coverage_question(query: Query) -> SeriesQuestion:
    """Return what GET coverage asks for."""
    values = read(query, SERIES, required=ONE_SERIES)
    return SeriesQuestion(
        values["market"], values["timeframe"], values.get("from"), values.get("to"), values.get("limit")
    )


def stream_question(query: Query) -> StreamQuestion:
    """Return what GET candles/stream asks for."""
    values = read(query, STREAM, required=ONE_SERIES)
    limit = values.get("limit", DEFAULT_ROWS)
    return StreamQuestion(values["market"], values["timeframe"], values.get("cursor"), limit)


def backfill_question(query: Query) -> BackfillQuestion:
    """Return what POST backfill asks for."""
    values = read(query, BACKFILL, required=ONE_SPAN)
    again = values.get("again", False)
    return BackfillQuestion(values["market"], values["timeframe"], values["from"], values.get("to"), again)


def trades_question(query: Query) -> TradesQuestion:
    """Return what GET trades asks for."""
    values = read(query, TRADES, required=ONE_MARKET)
    if "cursor" in values and "from" in values:
        raise BadParameters({"cursor": ["replaces from: give one of the two."]})
    return TradesQuestion(
        values["market"],
        values.get("from"),
        values.get("to"),
        values.get("limit"),
        values.get("cursor"),
        values.get("format"),
    )


def dead_letters_question(query: Query) -> DeadLettersQuestion:
    """Return what GET dead-letters asks for."""
    values = read(query, DEAD_LETTERS)
    limit = values.get("limit", DEFAULT_DEAD_LETTERS)
    return DeadLettersQuestion(values.get("topic"), values.get("market"), limit, values.get("cursor"))


def log_question(query: Query) -> LogQuestion:
    """Return what GET actors/log asks for."""
    values = read(query, ACTOR_LOG)
    wanted = LogFilter(
        values.get("kind"), values.get("name"), values.get("event"), values.get("from"), values.get("to")
    )
    return LogQuestion(wanted, values.get("limit", DEFAULT_LOG_LINES), values.get("cursor"))


def market_question(query: Query) -> str:
    """Return the market that POST markets names."""
    market: str = read(query, NEW_MARKET, required=ONE_MARKET)["market"]
    return market


def tickers_question(query: Query) -> list[str] | None:
    """Return the markets that GET tickers names, None: all that are followed."""
    names: list[str] | None = read(query, TICKERS).get("markets")
    return names


def schema_question(query: Query) -> str:
    """Return the format in which GET schema is asked for."""
    chosen: str = read(query, SCHEMA).get("format", "json")
    return chosen


def no_question(query: Query) -> None:
    """Refuse every parameter, for addresses that take none."""
    read(query, {})


def query_of(request: Request) -> Query:
    """Return the request's query string: every value of every name, in order."""
    return dict(request.query_params.lists())


def read(query: Query, accepted: Accepted, required: Sequence[str] = ()) -> dict[str, Any]:
    """Return the parsed values by name; raise BadParameters with every complaint."""
    values: dict[str, Any] = {}
    errors = {name: ["is missing."] for name in required if name not in query}
    for name, texts in query.items():
        if name not in accepted:
            errors[name[:60]] = [f"is not a parameter here. Accepted: {', '.join(accepted) or 'none'}."]
        elif len(texts) != 1:
            errors[name] = [f"is given {len(texts)} times; once is accepted."]
        elif not texts[0]:
            errors[name] = ["is empty."]
        else:
            try:
                values[name] = accepted[name].parse(texts[0])
            except ValueError as exc:
                errors[name] = [f"{shown(texts[0])} {exc}"]

    start, stop = values.get("from"), values.get("to")
    if start is not None and stop is not None and start >= stop:
        errors["from"] = ["must lie before to: the range is half open, [from, to)."]
    if errors:
        raise BadParameters(errors)
    return values
