"""The answers about streams."""

from __future__ import annotations

from datastore.api.openapi.basics import (
    COUNT,
    DECIMAL,
    MARKET,
    NEXT,
    PROVIDER,
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
from datastore.models import DynamicTopic, Stream
from datastore.streams.steps import STEPS

OF_STREAM: dict[str, Schema] = {
    "id": COUNT,
    "url": TEXT,
    "market": MARKET,
    "timeframe": TIMEFRAME,
    "state": choice(Stream.State.values),
    "topic": or_null({**TEXT, "description": "Name of the market's topic, null before it has one."}),
    "topic_state": or_null(choice(DynamicTopic.State.values)),
    "created": TIME,
    "live": or_null(TIME),
    "lease_until": {**TIME, "description": "Then it ends, unless PUT renews it before."},
    "ended": or_null(TIME),
    "attempts": {**COUNT, "description": f"Tries that failed; after {Stream.MAX_ATTEMPTS} the stream has failed."},
    "next_try": or_null({**TIME, "description": "Not before."}),
    "error": or_null({**TEXT, "description": "Of the last try, or why nothing goes on just now."}),
    "lag": or_null(
        {
            **COUNT,
            "description": "Milliseconds of feed that the broker has acknowledged for the topic and that are not "
            "stored yet; 0: all of it is; null before the first acknowledgement, and after the end.",
        }
    ),
    "newest": or_null({**TIME, "description": "Start of the newest candle of this timeframe that traded."}),
    "last_price": or_null({**DECIMAL, "description": "Its close."}),
    "events_url": {**TEXT, "description": "Where its candles are pushed as they change."},
}
SCHEMAS: dict[str, Schema] = {
    "Stream": record(OF_STREAM),
    "Streams": record({**PROVIDER, "streams": list_of(named("Stream")), "next": NEXT}),
    "Step": record(
        {
            "step": choice(STEPS),
            "at": or_null({**TIME, "description": "The database's clock; null while it is not taken."}),
            "by": or_null({**TEXT, "description": "Who asked, ended it, or which actor did it."}),
        }
    ),
    "OneStream": record(
        {**PROVIDER, **OF_STREAM, "steps": list_of(named("Step"))},
        description="A market and timeframe that is followed, with every step of its life and of its topic's.",
    ),
}
