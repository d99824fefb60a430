"""The parameters of the API, one entry each: how it is read, and how the OpenAPI document shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from actor_runtime.log_reading import event_names, kind_names
from datastore.api.params.symbols import TEXT_PATTERN, is_text, market_text
from datastore.api.params.times import ACCEPTED, EARLIEST, LATEST, parse_instant, to_ms
from datastore.symbol import MAX_SYMBOL_LENGTH
from datastore.timeframes.timeframe import TIMEFRAMES
from streaming.topics import LEGAL_NAME, checked_name

MAX_ROWS = 10_000  # of one json answer
DEFAULT_WAIT_S = 10.0
MAX_WAIT_S = 30
MAX_MARKETS = 500  # of one call
MAX_NAME_LENGTH = 120  # of an actor
# Names with anything but blanks in them.
_ONE_NAME = r"[^,\x00-\x1f\x7f-\x9f]*[^,\s\x00-\x1f\x7f-\x9f][^,\x00-\x1f\x7f-\x9f]*"
LIST_PATTERN = f"^{_ONE_NAME}(,{_ONE_NAME}){{0,{MAX_MARKETS - 1}}}$"
FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """parse returns the value of a text, or raises ValueError with a sentence that follows the text.

    schema is what parse accepts, as JSON Schema; the example is filled in where a required parameter can be tried out.
    """

    parse: Callable[[str], Any]
    description: str
    schema: Mapping[str, Any]
    example: str | int | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """Parses a choice."""

    accepted: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Return the choice; raise ValueError with all that may be chosen."""
        if text not in self.accepted:
            raise ValueError(f"is unknown. Accepted: {', '.join(self.accepted)}.")
        return text


def parse_limit(text: str, maximum: int) -> int:
    """Return how many rows or buckets are asked for; raise ValueError outside 1..maximum."""
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= maximum:
        raise ValueError(f"is not a whole number from 1 to {maximum}.")
    return int(text)


def parse_topic(text: str) -> str:
    """Return a topic's name; raise ValueError if no broker could have such a topic."""
    try:
        return checked_name(text)
    except ValueError:
        raise ValueError("is not a topic's name, such as tick-data.") from None


def parse_kind(text: str) -> str:
    """Return a kind of actor; raise ValueError with all of them."""
    return OneOf(tuple(kind_names()))(text)


def parse_event(text: str) -> str:
    """Return an event in upper case; raise ValueError with all of them."""
    return OneOf(tuple(event_names()))(text.upper())


def parse_actor(text: str) -> str:
    """Return an actor's name; raise ValueError if none could have it."""
    if len(text) > MAX_NAME_LENGTH or not is_text(text):
        raise ValueError(f"is not an actor's name: up to {MAX_NAME_LENGTH} characters, none of them for control.")
    return text


def parse_flag(text: str) -> bool:
    """Return yes or no; raise ValueError for anything else."""
    if text.lower() not in FLAGS:
        raise ValueError(f"is neither yes nor no. Accepted: {', '.join(FLAGS)}.")
    return FLAGS[text.lower()]


def parse_number(text: str, low: float, high: float) -> float | None:
    """Return a number as JSON writes it; None for another text, and outside low..high."""
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?", text):
        return None
    return float(text) if low <= float(text) <= high else None


def parse_wait(text: str) -> float:
    """Return how many seconds to wait; raise ValueError outside 0..MAX_WAIT_S."""
    seconds = parse_number(text, 0, MAX_WAIT_S)
    if seconds is None:
        raise ValueError(f"is not a number of seconds from 0 to {MAX_WAIT_S}.")
    return seconds


def parse_markets(text: str) -> list[str]:
    """Return the names of a list such as coinbase:BTC-USD,kraken:BTC-EUR; raise ValueError if one cannot be a name."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names) or len(names) > MAX_MARKETS:
        raise ValueError(f"is not a list of 1 to {MAX_MARKETS} markets, separated by commas.")
    return [market_text(name) for name in names]


def parse_timeframe(text: str) -> str:
    """Return the timeframe's name; raise ValueError with all of them. Case matters: 1m is a minute, 1M a month."""
    if text not in TIMEFRAMES:
        raise ValueError(f"is not a timeframe (case matters). Accepted: {', '.join(TIMEFRAMES)}.")
    return text


def choice(values: Iterable[str], description: str) -> Parameter:
    """Return a parameter that takes one of these values."""
    accepted = tuple(values)
    return Parameter(OneOf(accepted), description, {"type": "string", "enum": list(accepted)})


def limit(maximum: int) -> Parameter:
    """Return a parameter that takes a number of rows or buckets."""
    return Parameter(
        partial(parse_limit, maximum=maximum),
        "How many rows or buckets at most; without `from` the newest of them.",
        {"type": "integer", "minimum": 1, "maximum": maximum},
    )


def _instant(description: str, example: str | None = None) -> Parameter:
    whole = [
        {"type": "integer", "minimum": to_ms(EARLIEST) // unit, "exclusiveMaximum": to_ms(LATEST) // unit}
        for unit in (1000, 1)
    ]
    iso = [{"type": "string", "format": form, "pattern": "^20[0-9]{2}-"} for form in ("date-time", "date")]
    return Parameter(parse_instant, description, {"anyOf": [*whole, *iso]}, example)


MARKET = Parameter(
    market_text,
    "exchange:BASE-QUOTE; BTC/USD, BTC-USD and EXCHANGE:BTCUSD where only one market is meant.",
    {"type": "string", "minLength": 1, "maxLength": MAX_SYMBOL_LENGTH, "pattern": TEXT_PATTERN},
    "coinbase:BTC-USD",
)
MARKETS = Parameter(
    parse_markets,
    f"Up to {MAX_MARKETS} markets, separated by commas. Without: all that are followed.",
    {"type": "string", "pattern": LIST_PATTERN},
)
TIMEFRAME = Parameter(
    parse_timeframe,
    "Length of a bucket; case matters: 1m is a minute, 1M a month.",
    {"type": "string", "enum": list(TIMEFRAMES)},
    "1m",
)
FROM = _instant(f"Start of the range, which is half open: {ACCEPTED}.", "2026-11-01")
TO = _instant(f"End of the range, which it does not hold: {ACCEPTED}. Without: now.")
ROWS = limit(MAX_ROWS)
CLOSED_ONLY = Parameter(parse_flag, "Leave out what may still change.", {"type": "string", "enum": list(FLAGS)})
RAW = Parameter(
    parse_flag,
    "The provider's own prices, also where its open or close lies outside the row's low to high.",
    {"type": "string", "enum": list(FLAGS)},
)
AGAIN = Parameter(
    parse_flag,
    "Ask the provider once more for what it has refused for good.",
    {"anyOf": [{"type": "boolean"}, {"type": "string", "enum": list(FLAGS)}]},
)
WAIT = Parameter(
    parse_wait,
    f"For how many seconds to wait for what must be fetched first. Default: {DEFAULT_WAIT_S:g}.",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_S},
)
TOPIC = Parameter(
    parse_topic,
    "The topic that the records were read from.",
    {"type": "string", "pattern": f"^{LEGAL_NAME.pattern}$"},
)
# What they take is known only when all apps are loaded: the document lists it (openapi/parameters.py).
KIND = Parameter(parse_kind, "Only actors of this kind.", {"type": "string", "pattern": "^[a-z]+$"})
EVENT = Parameter(parse_event, "Only this event, such as RESET.", {"type": "string", "pattern": "^[A-Za-z_]+$"})
ACTOR_NAME = Parameter(
    parse_actor,
    "Only the actor of this name.",
    {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": TEXT_PATTERN},
)
LOG_FROM = _instant(f"Only what happened since then: {ACCEPTED}.")
LOG_TO = _instant(f"Only what began before then: {ACCEPTED}.")
CURSOR = Parameter(
    str,
    "Continue after this position, which an earlier answer named.",
    {"type": "string", "minLength": 1},
)
