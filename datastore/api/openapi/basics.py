"""The parts of all schemas. Strict: an answer that changes no longer fits its schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datastore.timeframes.timeframe import TIMEFRAMES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BINARY: Schema = {"type": "string", "contentEncoding": "binary"}
COUNT: Schema = {"type": "integer", "minimum": 0}
YES_OR_NO: Schema = {"type": "boolean"}
TIME: Schema = {"type": "integer", "description": "Milliseconds since 1970, UTC.", "examples": [1764028800000]}
DECIMAL: Schema = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
    "description": "An exact decimal number.",
    "examples": ["64250.1"],
}
MARKET: Schema = {"type": "string", "pattern": "^[^:]+:[^:]+-[^:]+$", "examples": ["coinbase:BTC-USD"]}
TIMEFRAME: Schema = {"type": "string", "enum": list(TIMEFRAMES)}
CURSOR: Schema = {"type": "string", "description": "A place to go on from; opaque."}
NEXT: Schema = {"type": ["string", "null"], "description": "Address of the next page, null after the last."}


def record(properties: dict[str, Schema], **more: Any) -> Schema:
    """Return an object that has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def row(columns: dict[str, Schema], names: Iterable[str]) -> Schema:
    """Return an array with one cell per name, in their order. Raises KeyError for one that is in no column."""
    cells = [{"title": name, **columns[name]} for name in names]
    return {"type": "array", "prefixItems": cells, "items": False, "minItems": len(cells)}


def list_of(items: Schema, **more: Any) -> Schema:
    """Return an array of such items."""
    return {"type": "array", "items": items, **more}


def or_null(schema: Schema) -> Schema:
    """Return the schema that allows null too."""
    if "$ref" in schema or "anyOf" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [*kinds, "null"], **values}


def choice(values: Iterable[str]) -> Schema:
    """Return a text that is one of these."""
    return {"type": "string", "enum": list(values)}


def named(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


PROVIDER: dict[str, Schema] = {
    "provider": or_null({**TEXT, "description": "Whose data this is, null before it was ever asked."}),
    "simulated": {**YES_OR_NO, "description": "Whether every price is invented."},
    "server_time": {**TIME, "description": "The provider's time in milliseconds."},
}
