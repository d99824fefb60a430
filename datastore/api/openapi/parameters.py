"""Parameters as the document shows them, made of the tables that queries are read by (params/)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actor_runtime.log_reading import event_names
from datastore.api.openapi.actors import kinds
from datastore.api.openapi.basics import Schema, choice, record
from datastore.api.params.parameter import EVENT, KIND, MARKET, Parameter
from datastore.api.params.query_params import Accepted

NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
NAME: Schema = {"type": "string", "minLength": 1}


def in_query(accepted: Accepted, required: Sequence[str]) -> list[Schema]:
    """Return the parameters of a query string."""
    shown: list[Schema] = []
    for name, parameter in accepted.items():
        shown.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": parameter.description,
                "schema": _schema(parameter),
            }
        )
        if name in required:
            shown[-1]["example"] = parameter.example
    return shown


def in_body(accepted: Accepted, required: Sequence[str]) -> Schema:
    """Return a JSON body, which is read by the same tables as a query string."""
    properties = {name: {**each.schema, "description": each.description} for name, each in accepted.items()}
    example = {name: accepted[name].example for name in required}
    schema = record(properties, required=list(required))
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def in_path(name: str) -> Schema:
    """Return a part of an address. Raises KeyError for one that is not described here."""
    parts: dict[str, Schema] = {
        "asked": {"description": MARKET.description, "schema": MARKET.schema, "example": MARKET.example},
        "number": {"description": "Its id.", "schema": NUMBER},
        "kind": {"description": "The kind of actor.", "schema": choice(kinds()), "example": "producer"},
        "name": {"description": "The actor's name.", "schema": NAME, "example": "producer-live-1"},
    }
    return {"name": name, "in": "path", "required": True, **parts[name]}


def _schema(parameter: Parameter) -> Mapping[str, Any]:
    """Return what a parameter accepts, also where that is known only when all apps are loaded."""
    if parameter is KIND:
        return choice(kinds())
    return choice(event_names()) if parameter is EVENT else parameter.schema
