"""Parameters as the document shows them, made of the tables that queries are parsed by (params/query_params.py).

A new parameter needs one line in DESCRIPTIONS; a new parser one in PARSED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from datastore.api.openapi.actors import kinds
from datastore.api.openapi.basics import TIMEFRAME, Schema, choice, record
from datastore.api.params.query_params import (
    DEFAULT_WAIT,
    FLAGS,
    MAX_MARKETS,
    MAX_ROWS,
    MAX_WAIT,
    OneOf,
    Parser,
    parse_flag,
    parse_limit,
    parse_markets,
    parse_timeframe,
    parse_wait,
    topic_text,
)
from datastore.api.params.symbols import MAX_SYMBOL_LENGTH, market_text
from datastore.api.params.times import ACCEPTED, EARLIEST, LATEST, parse_instant, to_ms
from streaming.topics import LEGAL_NAME

DESCRIPTIONS = {
    "market": "exchange:BASE-QUOTE; BTC/USD, BTC-USD and EXCHANGE:BTCUSD where only one market is meant.",
    "markets": f"Up to {MAX_MARKETS} markets, separated by commas. Without: all that are followed.",
    "timeframe": "Length of a bucket; case matters: 1m is a minute, 1M a month.",
    "from": f"Start of the range, which is half open: {ACCEPTED}.",
    "to": f"End of the range, which it does not hold: {ACCEPTED}. Without: now.",
    "limit": "How many rows or buckets at most; without `from` the newest of them.",
    "closed_only": "Leave out what may still change.",
    "numbers": "Prices and volumes as exact text, or the same digits without quotes. Default: string.",
    "format": "The form of the answer. Default: json.",
    "fill": "A row for each bucket in which nothing was traded: none, one without numbers, or the close before it.",
    "wait": f"For how many seconds to wait for what must be fetched first. Default: {DEFAULT_WAIT:g}.",
    "state": "Only those in this state.",
    "topic": "The topic that the records were read from.",
    "cursor": "Go on behind this place, which an earlier answer named.",
}
# Prefilled where the document can be tried out; of an optional parameter nothing is.
EXAMPLES = {"market": "coinbase:BTC-USD", "timeframe": "1m", "from": "2026-11-01"}


def _whole(unit: int) -> Schema:
    low, high = to_ms(EARLIEST) // unit, to_ms(LATEST) // unit
    return {"type": "integer", "minimum": low, "exclusiveMaximum": high}


def _iso(form: str, example: datetime) -> Schema:
    return {"type": "string", "format": form, "examples": [example.isoformat()]}


PARSED: dict[Parser, Schema] = {
    parse_instant: {
        "anyOf": [
            _whole(1000),
            _whole(1),
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
        ]
    },
    market_text: {"type": "string", "minLength": 1, "maxLength": MAX_SYMBOL_LENGTH},
    parse_markets: {"type": "string", "minLength": 1},
    parse_timeframe: TIMEFRAME,
    parse_flag: choice(FLAGS),
    parse_wait: {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
    topic_text: {"type": "string", "pattern": f"^{LEGAL_NAME.pattern}$"},
    str: {"type": "string", "minLength": 1},
}


def schema_of(parser: Parser) -> Schema:
    """Return what a parser accepts. Raises KeyError for one that nobody described."""
    if isinstance(parser, OneOf):
        return choice(parser.accepted)
    if isinstance(parser, partial):
        return _limit(**parser.keywords)
    return _limit() if parser is parse_limit else PARSED[parser]


def _limit(most: int = MAX_ROWS) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most}


def in_query(accepted: Mapping[str, Parser], required: Sequence[str]) -> list[Schema]:
    """Return the parameters of a query string."""
    return [_parameter(name, parser, name in required) for name, parser in accepted.items()]


def _parameter(name: str, parser: Parser, required: bool) -> Schema:
    shown: dict[str, Any] = {
        "name": name,
        "in": "query",
        "required": required,
        "description": DESCRIPTIONS[name],
        "schema": schema_of(parser),
    }
    return shown | {"example": EXAMPLES[name]} if required else shown


def in_body(accepted: Mapping[str, Parser], required: Sequence[str]) -> Schema:
    """Return a JSON body, which is read by the same tables as a query string."""
    properties = {name: {**schema_of(parser), "description": DESCRIPTIONS[name]} for name, parser in accepted.items()}
    example = {name: EXAMPLES[name] for name in required}
    schema = record(properties, required=list(required))
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def in_path(name: str) -> Schema:
    """Return a part of an address. Raises KeyError for one that nobody described."""
    return {"name": name, "in": "path", "required": True, **_parts()[name]}


def _parts() -> dict[str, Schema]:
    return {
        "asked": {"description": DESCRIPTIONS["market"], "schema": PARSED[market_text], "example": EXAMPLES["market"]},
        "number": {"description": "Its id.", "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}},
        "kind": {"description": "The kind of actor.", "schema": choice(kinds())},
        "name": {"description": "The actor's name.", "schema": {"type": "string", "minLength": 1}},
    }
