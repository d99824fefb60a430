"""The OpenAPI document: generated once per process from urls.py, the table of operations and the schemas."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiYamlRenderer

from datastore.api.openapi import actors, interfaces, markets, requests, series, streams
from datastore.api.openapi.basics import TEXT, Schema, list_of, record
from datastore.api.openapi.operations import OPERATIONS
from datastore.api.openapi.parameters import in_body, in_path, in_query
from datastore.api.openapi.problems import HEADERS, PROBLEM, reference, refused, responses

BASE = "/api/v1/"
ALL = {**OPERATIONS, **interfaces.OPERATIONS}
BEARER, KEY, SESSION, TOKEN = "bearer", "apiKey", "session", "csrfToken"
BINANCE_KEY = "binanceKey"
WRITERS: list[dict[str, list[str]]] = [{BEARER: []}, {KEY: []}, {SESSION: [], TOKEN: []}]
READERS: list[dict[str, list[str]]] = [{BEARER: []}, {KEY: []}, {SESSION: []}]
OBJECT: Schema = {"type": "object"}
DOCUMENT = record(
    {"openapi": TEXT, "info": OBJECT, "tags": list_of(OBJECT), "paths": OBJECT, "components": OBJECT},
    description="This document.",
)


class TableSchema(AutoSchema):
    """Looks every operation up in our table; settings.REST_FRAMEWORK makes it the schema of every view."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> dict[str, Any]:
        """Return the operation. Raises KeyError for a route or method that is not in the table."""
        operation = ALL[path.removeprefix(BASE), method]
        in_paths = [in_path(name) for name in re.findall(r"\{(\w+)\}", path)]
        in_queries = in_query(operation.query, () if operation.body else operation.required)
        answers = {str(status): answer.shown() for status, answer in operation.answers.items()}
        # Any query may be bad, any key unknown, any server away.
        refusals = {400, 401, 403, 429, 503, *operation.refusals, *(() if operation.body is None else (415,))}
        readers = READERS if settings.REQUIRE_API_KEY else [{}, *READERS]
        if operation.group == interfaces.BINANCE:
            readers = [*readers, {BINANCE_KEY: []}]
        return {
            "operationId": operation.name,
            "tags": [operation.group],
            "summary": operation.summary,
            **({"description": operation.details} if operation.details else {}),
            "parameters": in_paths + in_queries,
            **({"requestBody": in_body(operation.body, operation.required)} if operation.body is not None else {}),
            "security": readers if method == "GET" else WRITERS,
            "responses": answers
            | {
                str(status): reference(status) if operation.refusal is None else refused(status, operation.refusal)
                for status in sorted(refusals)
            },
        }


def with_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what operations refer to; a postprocessing hook of drf-spectacular."""
    schemas = {
        **series.SCHEMAS,
        **requests.SCHEMAS,
        **markets.SCHEMAS,
        **streams.SCHEMAS,
        **actors.schemas(),
        **interfaces.SCHEMAS,
    }
    result["components"] = {
        "schemas": {**dict(sorted(schemas.items())), "Problem": PROBLEM, "Document": DOCUMENT},
        "responses": responses(),
        "headers": HEADERS,
        "securitySchemes": SCHEMES,
    }
    result["tags"] = [{"name": group} for group in dict.fromkeys(each.group for each in ALL.values())]
    return result


def in_order(endpoint: tuple[str, str, str, Any]) -> int:
    """Sort the operations as the table has them; for drf-spectacular."""
    path, _, method, _ = endpoint
    return list(ALL).index((path.removeprefix(BASE), method))


SCHEMES: Mapping[str, Schema] = {
    BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "ck_…", "description": "An API key."},
    KEY: {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key: ck_…"},
    BINANCE_KEY: {"type": "apiKey", "in": "header", "name": "X-MBX-APIKEY", "description": "An API key: ck_…"},
    SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "The session of a staff user, signed in at /admin/.",
    },
    TOKEN: {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRFToken",
        "description": f"The cookie `{settings.CSRF_COOKIE_NAME}` of that session: writing needs both.",
    },
}


def document() -> dict[str, Any]:
    """Return the document, made again at each call."""
    made: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return made


def rendered(form: str) -> tuple[bytes, str]:
    """Return the document as json or yaml, with its ETag; made once per process."""
    return _rendered(form, settings.REQUIRE_API_KEY)


@lru_cache(maxsize=4)
def _rendered(form: str, key_required: bool) -> tuple[bytes, str]:
    made = document()
    body: bytes = msgspec.json.encode(made) if form == "json" else OpenApiYamlRenderer().render(made)
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
