"""The answers about what is being fetched."""

from __future__ import annotations

from datastore.api.openapi.basics import (
    COUNT,
    MARKET,
    TEXT,
    TIME,
    TIMEFRAME,
    Schema,
    choice,
    list_of,
    named,
    or_null,
    record,
)
from datastore.models import DatastoreRequest, FetchRequest
from datastore.timeframes.timeframe import BASE_SECONDS

PAGES_TOTAL = or_null({**COUNT, "description": "null while a fetch does not know yet."})
REQUEST: dict[str, Schema] = {
    "id": COUNT,
    "url": TEXT,
    "state": choice(DatastoreRequest.State.values),
    "label": TEXT,
    "market": MARKET,
    "timeframe": TIMEFRAME,
    "from": or_null(TIME),
    "to": or_null(TIME),
    "created": TIME,
    "pages_done": COUNT,
    "pages_total": PAGES_TOTAL,
    "eta": or_null({**TIME, "description": "When all pages will be done at the pace so far."}),
    "error": or_null({**TEXT, "description": "What failed, or what the fetch waits for."}),
    "answer": or_null({**TEXT, "description": "The address to read, once there is something."}),
    "fetches": list_of(named("Fetch")),
}
SCHEMAS: dict[str, Schema] = {
    "Fetch": record(
        {
            "resolution": {
                "type": "integer",
                "enum": [FetchRequest.TRADES, *BASE_SECONDS],
                "description": "Seconds; 0: trades.",
            },
            "from": TIME,
            "to": TIME,
            "state": choice(FetchRequest.State.values),
            "reached": or_null({**TIME, "description": "All after it is on its way into the database."}),
            "pages_done": COUNT,
            "pages_total": PAGES_TOTAL,
            "next_try": or_null(TIME),
            "error": or_null(TEXT),
            "waits_for": or_null(
                {
                    **TEXT,
                    "description": "The actor it waits for, and what to do; null while a job fetches it.",
                }
            ),
        },
        description="One span that is fetched from the provider.",
    ),
    "Request": record(REQUEST, description="What is fetched for a question, and how far it is."),
    "OneRequest": record(
        {**REQUEST, "completeness": or_null(named("Completeness"))},
        description="A request, and how much of what it is for is there.",
    ),
    "Refusal": record(
        {"id": {"type": "null"}, "url": {"type": "null"}, "state": {"type": "null"}, "error": TEXT},
        description="Why nothing will be fetched.",
    ),
    "Accepted": record({"request": named("Request")}),
    "Backfill": record({"request": named("Request"), "completeness": named("Completeness")}),
    "NothingToFetch": record({"request": {"type": "null"}, "completeness": named("Completeness")}),
}
