"""The problems that are answered instead of what was asked for, and the headers of both."""

from __future__ import annotations

from http import HTTPStatus

from datastore.api.auth.permissions import CHALLENGE, TO_READ, TO_WRITE
from datastore.api.openapi.basics import COUNT, TEXT, Schema, list_of, named, record
from datastore.api.responses.problem import CONTENT_TYPE

PREFIX = "urn:candlekeep:problem:"
PROBLEM = record(
    {
        "type": {"type": "string", "pattern": f"^{PREFIX}[a-z-]+$", "description": "Stable, for programs."},
        "title": {**TEXT, "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {**TEXT, "description": "What is wrong and what to do, for people."},
        "errors": {
            "type": "object",
            "additionalProperties": list_of(TEXT, minItems=1),
            "description": "Complaints by the name of the parameter.",
        },
    },
    description="Every error has this shape (RFC 9457).",
)
HEADERS: dict[str, Schema] = {
    "ETag": {"description": "Weak: what stays the same as long as the answer does.", "schema": TEXT},
    "Location": {"description": "Where to look next.", "schema": TEXT},
    "Retry-After": {"description": "Seconds after which to ask again.", "schema": {**COUNT, "minimum": 1}},
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"const": CHALLENGE}},
    "Candlekeep-Complete": {
        "description": "Whether no bucket of the range is gap or partial.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "Candlekeep-Watermark": {"description": "Up to here the feed is known, in milliseconds.", "schema": COUNT},
    "Candlekeep-Cursor": {"description": "The place in the market's history that this answer shows.", "schema": TEXT},
    "Candlekeep-Gaps": {"description": "How many stretches are gap or partial.", "schema": COUNT},
    "Candlekeep-Request": {"description": "The running fetch of what is missing.", "schema": TEXT},
    "Content-Disposition": {"description": "A name for the file.", "schema": TEXT},
    "Link": {"description": "The whole certificate: `describedby`.", "schema": TEXT},
    "RateLimit-Limit": {"description": "How many requests may come at once.", "schema": COUNT},
    "RateLimit-Remaining": {"description": "How many may come now.", "schema": COUNT},
    "RateLimit-Reset": {"description": "In how many seconds the bucket is full again.", "schema": COUNT},
    "RateLimit-Policy": {"description": "Size of the bucket and the seconds in which it fills.", "schema": TEXT},
}
FILE_HEADERS = ("Content-Disposition", "Link")
# Absent if there is no limit.
RATES = tuple(name for name in HEADERS if name.startswith("RateLimit-"))
# By status: the name of the response, its `type`, an example of its `detail`, a field that it may name, its headers.
RESPONSES: dict[int, tuple[str, str, str, str | None, tuple[str, ...]]] = {
    400: ("BadRequest", "bad-parameter", "'0' is not a whole number from 1 to 10000.", "limit", ()),
    401: ("Unauthorized", "unauthorized", TO_READ, None, ("WWW-Authenticate",)),
    403: ("Forbidden", "forbidden", f"The key 'grafana' may only read. {TO_WRITE}", None, ()),
    404: ("NotFound", "unknown-market", "There is no market 'coinbase:BTC-USX'.", "market", ()),
    409: ("Conflict", "conflict", "producer producer-live-1 is not in Error.", None, ()),
    415: ("UnsupportedMediaType", "unsupported-media-type", "The request cannot be read.", None, ()),
    422: ("CannotWrite", "cannot-write", "A number of this series has more than 18 digits after the point.", None, ()),
    429: ("TooManyRequests", "too-many-requests", "Too many requests: ask again in 3 s.", None, ("Retry-After",)),
    503: ("Unavailable", "database-away", "The database does not answer right now.", None, ("Retry-After",)),
}


def headers(names: tuple[str, ...]) -> dict[str, Schema]:
    """Return references to headers of the document."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def reference(status: int) -> Schema:
    """Return a reference to the problem of this status."""
    return {"$ref": f"#/components/responses/{RESPONSES[status][0]}"}


def refused(status: int, schema: str) -> Schema:
    """Return a refusal of this status in the shape of another interface, by the name of its schema."""
    own = RESPONSES[status][4]
    content = {"application/json": {"schema": named(schema)}}
    return {"description": f"{HTTPStatus(status).phrase}.", "headers": headers((*RATES, *own)), "content": content}


def responses() -> dict[str, Schema]:
    """Return all problems as responses of the document."""
    found: dict[str, Schema] = {}
    for status, (name, kind, detail, field, own) in RESPONSES.items():
        title = HTTPStatus(status).phrase
        example = {
            "type": PREFIX + kind,
            "title": title,
            "status": status,
            "detail": f"{field}: {detail}" if status == 400 else detail,
            "errors": {field: [detail]} if field else {},
        }
        content = {CONTENT_TYPE: {"schema": named("Problem"), "example": example}}
        found[name] = {"description": f"{title}.", "headers": headers((*RATES, *own)), "content": content}
    return found
