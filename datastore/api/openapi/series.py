"""The answers of GET candles and GET coverage."""

from __future__ import annotations

from datastore.api.openapi.basics import (
    COUNT,
    CURSOR,
    DECIMAL,
    MARKET,
    NEXT,
    PROVIDER,
    TEXT,
    TIME,
    TIMEFRAME,
    YES_OR_NO,
    Schema,
    choice,
    list_of,
    named,
    or_null,
    record,
    row,
)
from datastore.coverage.certificate import GAP, LIVE, MERGED, OPEN, PARTIAL, PENDING
from datastore.coverage.certificate import PROVIDER as BY_PROVIDER
from datastore.coverage.reasons import ANY_CODE
from datastore.reference.traits import Proof
from datastore.series.row_format import COLUMNS, FILL

STATES = (LIVE, BY_PROVIDER, MERGED, PARTIAL, GAP, PENDING, OPEN)
# Text by default, a number if `numbers=float` asks for it, null in a row that `fill` invented.
NUMBER: Schema = {**or_null(DECIMAL), "type": ["string", "number", "null"]}
CELLS: dict[str, Schema] = {
    "time": {**TIME, "description": "Start of the bucket in milliseconds."},
    **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), NUMBER),
    "trades": or_null({**COUNT, "description": "null if the provider, which counts none, takes part."}),
    "source": choice((LIVE, BY_PROVIDER, MERGED, PARTIAL, FILL)),
    "closed": {**YES_OR_NO, "description": "Whether the bucket is over and proven."},
    "revision": {**COUNT, "description": "Rises with every change that was stored, those before the close included."},
}
HEAD: dict[str, Schema] = {
    "market": MARKET,
    "timeframe": TIMEFRAME,
    **PROVIDER,
    "watermark": or_null({**TIME, "description": "Up to here the feed is known."}),
    "version": {**COUNT, "description": "Rises with every change of the market's data."},
    "cursor": {**CURSOR, "description": "The place in the market's history that this answer shows; opaque."},
    "stream_url": {**TEXT, "description": "Address to follow this series at; add `cursor` to go on from here."},
    "complete": {**YES_OR_NO, "description": "Whether no bucket of the range is gap or partial."},
    "complete_until": or_null(
        {**TIME, "description": "Start of the first bucket that is pending or open, else the end."}
    ),
    "corrected": {
        **list_of(named("Correction")),
        "description": "The buckets that changed after they had been closed with proof that they were whole.",
    },
    "coverage": list_of(named("Segment")),
}
AMOUNT: dict[str, Schema] = {
    "buckets": COUNT,
    "days": {"type": "number", "minimum": 0},
    "percent": {"type": "number", "minimum": 0, "maximum": 100, "description": "Of the buckets that were asked for."},
}
CODE: Schema = {**TEXT, "examples": list(ANY_CODE), "description": "The kind of reason; more may be added."}
PROOF = (
    "What these buckets rest on, the weakest of it: `ids`: every id of the venue is stored; `sequence`: the provider's "
    "numbering has no hole; `connection`: one unbroken subscription; `candle`: the provider's candle. null if they are "
    "not proven."
)
SCHEMAS: dict[str, Schema] = {
    "Amount": record(AMOUNT, description="Some of a range's buckets."),
    "MissingPart": record(
        {
            **AMOUNT,
            "from": {**TIME, "description": "Start of the first such bucket."},
            "to": {**TIME, "description": "End of the last one."},
            "final": {**YES_OR_NO, "description": "Whether the provider said that it will never have it."},
            "reason": TEXT,
            "code": CODE,
        },
        description="What is missing for one reason.",
    ),
    "Completeness": record(
        {
            "asked": {**named("Amount"), "description": "The buckets of the range that have begun."},
            "proven": named("Amount"),
            "pending": {**named("Amount"), "description": "What is not known finally yet."},
            "missing": list_of(named("MissingPart")),
        },
        description="How much of a range is there, and why the rest is not.",
    ),
    "Repair": record(
        {
            "reason": or_null(TEXT),
            "code": or_null(CODE),
            "attempts": COUNT,
            "next_try": or_null(TIME),
            "final": {**YES_OR_NO, "description": "Whether it is given up."},
        }
    ),
    "Segment": record(
        {
            "from": TIME,
            "to": TIME,
            "state": choice(STATES),
            "proof": or_null({**choice(Proof), "description": PROOF}),
            "quiet": {**COUNT, "description": "Buckets in which provably nothing was traded."},
            "reason": or_null({**TEXT, "description": "Why these buckets are not proven."}),
            "code": or_null(CODE),
            "repair": or_null(named("Repair")),
        },
        description="Buckets of one state.",
    ),
    "Correction": record(
        {
            "time": {**TIME, "description": "Start of the bucket."},
            "changes": {**COUNT, "description": "Since it was closed; of a derived bucket those of all its parts."},
        },
        description="A bucket that was corrected.",
    ),
    "Candle": row(CELLS, COLUMNS),
    "Candles": record(
        {
            **HEAD,
            "columns": {"const": list(COLUMNS)},
            "candles": list_of(named("Candle")),
            "next": NEXT,
            "request": {"anyOf": [named("Request"), named("Refusal"), {"type": "null"}]},
        },
        description="Rows and certificate of one snapshot.",
    ),
    "CcxtCandles": list_of(
        row({**CELLS, **dict.fromkeys(COLUMNS[1:6], or_null({"type": "number"}))}, COLUMNS[:6]),
        description="`format=ccxt`: time, open, high, low, close, volume, all of them numbers.",
    ),
    "BinanceKlines": list_of(
        {
            "type": "array",
            "prefixItems": [TIME, *[DECIMAL] * 5, TIME, DECIMAL, COUNT, *[DECIMAL] * 3],
            "items": False,
            "minItems": 12,
        },
        description="`format=binance`: klines as Binance writes them; what a candle does not hold is 0.",
    ),
    "Coverage": record(
        {
            **HEAD,
            "totals": record(
                {
                    "milliseconds": {
                        "type": "object",
                        "properties": dict.fromkeys(STATES, COUNT),
                        "additionalProperties": False,
                        "description": "Of each state that occurs.",
                    },
                    "proven": {
                        "type": "object",
                        "properties": dict.fromkeys(map(str, Proof), COUNT),
                        "additionalProperties": False,
                        "description": "Milliseconds of each proof that occurs.",
                    },
                    "gaps": COUNT,
                    "quiet": COUNT,
                }
            ),
            "completeness": named("Completeness"),
            "next": NEXT,
        },
        description="The certificate alone, with totals.",
    ),
}
