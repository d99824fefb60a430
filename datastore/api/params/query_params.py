"""Read query strings strictly: an unknown, repeated, missing or bad parameter is a 400 that names it and the accepted.

All complaints of one query are told at once. Pure: text in, typed questions out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from rest_framework.request import Request

from datastore.api.errors import BadParameters, shown
from datastore.api.params.symbols import market_text
from datastore.api.params.times import parse_instant
from datastore.series.fill import FILLS, NONE
from datastore.timeframes.timeframe import TIMEFRAMES
from streaming.topics import checked_name

MAX_ROWS = 10_000  # of one json answer
DEFAULT_ROWS = 500
DEFAULT_WAIT = 10.0  # seconds
MAX_WAIT = 30
MAX_MARKETS = 500  # of one call
DEFAULT_LETTERS, MAX_LETTERS = 50, 500
FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

Query = Mapping[str, Sequence[str]]
Parser = Callable[[str], Any]


def parse_limit(text: str, most: int = MAX_ROWS) -> int:
    """Return how many rows or buckets are asked for; raise ValueError outside 1..most."""
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ValueError(f"is not a whole number from 1 to {most}.")
    return int(text)


def topic_text(text: str) -> str:
    """Return a topic's name; raise ValueError where no broker has such a topic."""
    try:
        return checked_name(text)
    except ValueError:
        raise ValueError("is no topic's name, such as tick-data.") from None


def parse_flag(text: str) -> bool:
    """Return yes or no; raise ValueError for anything else."""
    if text.lower() not in FLAGS:
        raise ValueError(f"is neither yes nor no. Accepted: {', '.join(FLAGS)}.")
    return FLAGS[text.lower()]


def parse_wait(text: str) -> float:
    """Return for how many seconds the asker would wait; raise ValueError outside 0..MAX_WAIT."""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text) or float(text) > MAX_WAIT:
        raise ValueError(f"is not a number of seconds from 0 to {MAX_WAIT}.")
    return float(text)


def parse_markets(text: str) -> list[str]:
    """Return the names of a list such as coinbase:BTC-USD,kraken:BTC-EUR; raise ValueError where one cannot be."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names) or len(names) > MAX_MARKETS:
        raise ValueError(f"is not a list of 1 to {MAX_MARKETS} markets, separated by commas.")
    return [market_text(name) for name in names]


def parse_timeframe(text: str) -> str:
    """Return the timeframe's name; raise ValueError with all of them. Case matters: 1m is a minute, 1M a month."""
    if text not in TIMEFRAMES:
        raise ValueError(f"is not a timeframe (case matters). Accepted: {', '.join(TIMEFRAMES)}.")
    return text


@dataclass(frozen=True, slots=True)
class OneOf:
    """Parses a choice; the values in later are designed but not served yet, and it says so."""

    accepted: tuple[str, ...]
    later: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        """Return the choice; raise ValueError with all that may be chosen."""
        if text in self.later:
            raise ValueError(f"is not available yet. Available: {', '.join(self.accepted)}.")
        if text not in self.accepted:
            raise ValueError(f"is unknown. Accepted: {', '.join(self.accepted)}.")
        return text


# What each address accepts. The OpenAPI document is made of these tables: datastore/api/openapi/parameters.py.
RANGE: dict[str, Parser] = {"from": parse_instant, "to": parse_instant, "limit": parse_limit}
SERIES: dict[str, Parser] = {"market": market_text, "timeframe": parse_timeframe, **RANGE}
CANDLES: dict[str, Parser] = {
    **SERIES,
    "closed_only": parse_flag,
    "numbers": OneOf(("string", "float")),
    "format": OneOf(("json",), later=("ccxt", "binance", "csv", "ndjson", "arrow", "parquet")),
    "fill": OneOf(FILLS),
    "wait": parse_wait,
}
STREAM: dict[str, Parser] = {
    "market": market_text,
    "timeframe": parse_timeframe,
    "cursor": str,
    "limit": parse_limit,
}
BACKFILL: dict[str, Parser] = {
    "market": market_text,
    "timeframe": parse_timeframe,
    "from": parse_instant,
    "to": parse_instant,
}
LETTERS: dict[str, Parser] = {
    "topic": topic_text,
    "market": market_text,
    "limit": partial(parse_limit, most=MAX_LETTERS),
    "cursor": str,
}
TRADES: dict[str, Parser] = {"market": market_text, **RANGE, "cursor": str}
FOLLOW: dict[str, Parser] = {"market": market_text}
TICKERS: dict[str, Parser] = {"markets": parse_markets}
SCHEMA: dict[str, Parser] = {"format": OneOf(("json", "yaml"))}
ONE_MARKET, ONE_SERIES, ONE_SPAN = ("market",), ("market", "timeframe"), ("market", "timeframe", "from")  # required


@dataclass(frozen=True, slots=True)
class SeriesQuestion:
    """A stretch of one candle series: start and stop as asked for, not yet floored to buckets."""

    market: str
    timeframe: str
    start: datetime | None
    stop: datetime | None
    limit: int | None
    closed_only: bool = False
    numbers: str = "string"
    fill: str = NONE
    wait: float = DEFAULT_WAIT


@dataclass(frozen=True, slots=True)
class StreamQuestion:
    """A series to follow: from a cursor on, else from its newest `limit` buckets."""

    market: str
    timeframe: str
    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class BackfillQuestion:
    """A stretch of one candle series to be fetched; without stop: up to now."""

    market: str
    timeframe: str
    start: datetime
    stop: datetime | None


@dataclass(frozen=True, slots=True)
class TradesQuestion:
    """A stretch of one market's trades; the cursor names the last trade already read."""

    market: str
    start: datetime | None
    stop: datetime | None
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class LettersQuestion:
    """Dead letters of one topic, one market, or all; the cursor names the last one already read."""

    topic: str | None
    market: str | None
    limit: int
    cursor: str | None


def candles_question(query: Query) -> SeriesQuestion:
    """Return what GET candles asks for."""
    values = read(query, CANDLES, required=ONE_SERIES)
    return SeriesQuestion(
        **_series(values),
        closed_only=values.get("closed_only", False),
        numbers=values.get("numbers", "string"),
        fill=values.get("fill", NONE),
        wait=values.get("wait", DEFAULT_WAIT),
    )


def coverage_question(query: Query) -> SeriesQuestion:
    """Return what GET coverage asks for."""
    return SeriesQuestion(**_series(read(query, SERIES, required=ONE_SERIES)))


def stream_question(query: Query) -> StreamQuestion:
    """Return what GET candles/stream asks for."""
    values = read(query, STREAM, required=ONE_SERIES)
    limit = values.get("limit", DEFAULT_ROWS)
    return StreamQuestion(values["market"], values["timeframe"], values.get("cursor"), limit)


def backfill_question(query: Query) -> BackfillQuestion:
    """Return what POST backfill asks for."""
    values = read(query, BACKFILL, required=ONE_SPAN)
    return BackfillQuestion(values["market"], values["timeframe"], values["from"], values.get("to"))


def trades_question(query: Query) -> TradesQuestion:
    """Return what GET trades asks for."""
    values = read(query, TRADES, required=ONE_MARKET)
    if "cursor" in values and "from" in values:
        raise BadParameters({"cursor": ["stands for from: give one of the two."]})
    return TradesQuestion(
        market=values["market"],
        start=values.get("from"),
        stop=values.get("to"),
        limit=values.get("limit", DEFAULT_ROWS),
        cursor=values.get("cursor"),
    )


def letters_question(query: Query) -> LettersQuestion:
    """Return what GET dead-letters asks for."""
    values = read(query, LETTERS)
    limit = values.get("limit", DEFAULT_LETTERS)
    return LettersQuestion(values.get("topic"), values.get("market"), limit, values.get("cursor"))


def market_question(query: Query) -> str:
    """Return the market that POST markets names."""
    market: str = read(query, FOLLOW, required=ONE_MARKET)["market"]
    return market


def tickers_question(query: Query) -> list[str] | None:
    """Return the markets that GET tickers names, None: all that are followed."""
    names: list[str] | None = read(query, TICKERS).get("markets")
    return names


def schema_question(query: Query) -> str:
    """Return the format in which GET schema is asked for."""
    chosen: str = read(query, SCHEMA).get("format", "json")
    return chosen


def query_of(request: Request) -> Query:
    """Return the request's query string: every value of every name, in order."""
    return dict(request.query_params.lists())


def read(query: Query, accepted: Mapping[str, Parser], required: Sequence[str] = ()) -> dict[str, Any]:
    """Return the parsed values by name; raise BadParameters with every complaint."""
    values: dict[str, Any] = {}
    errors = {name: ["is missing."] for name in required if name not in query}
    for name, texts in query.items():
        try:
            values[name] = _value(name, texts, accepted)
        except ValueError as exc:
            errors[name if name in accepted else name[:60]] = [str(exc)]
    errors.update(_order(values))
    if errors:
        raise BadParameters(errors)
    return values


def no_question(query: Query) -> None:
    """Refuse every parameter, for addresses that take none."""
    read(query, {})


def _series(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "market": values["market"],
        "timeframe": values["timeframe"],
        "start": values.get("from"),
        "stop": values.get("to"),
        "limit": values.get("limit"),
    }


def _value(name: str, texts: Sequence[str], accepted: Mapping[str, Parser]) -> Any:
    if name not in accepted:
        raise ValueError(f"is not a parameter here. Accepted: {', '.join(accepted) or 'none'}.")
    if len(texts) != 1:
        raise ValueError(f"is given {len(texts)} times; once is accepted.")
    if not texts[0]:
        raise ValueError("is empty.")
    try:
        return accepted[name](texts[0])
    except ValueError as exc:
        raise ValueError(f"{shown(texts[0])} {exc}") from None


def _order(values: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    start, stop = values.get("from"), values.get("to")
    if start is not None and stop is not None and start >= stop:
        yield "from", ["must lie before to: the range is half open, [from, to)."]
