"""What may be asked of streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from datastore.api.params import parameter
from datastore.api.params.query_params import DEFAULT_ROWS, Accepted, Query, read
from datastore.models import Stream

DEFAULT_STREAMS, MAX_STREAMS_SHOWN = 100, 500
NEW_STREAM: Accepted = {"market": parameter.MARKET, "timeframe": parameter.TIMEFRAME}
STREAMS: Accepted = {
    "state": parameter.choice(Stream.State.values, "Only those in this state."),
    "market": parameter.MARKET,
    "limit": parameter.limit(MAX_STREAMS_SHOWN),
    "cursor": parameter.CURSOR,
}
EVENTS: Accepted = {"cursor": parameter.CURSOR, "limit": parameter.ROWS}


class EventsQuestion(NamedTuple):
    """From where on a stream is followed; limit counts the buckets of a snapshot."""

    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class StreamsQuestion:
    """Streams of one state, one market, or all; the cursor names the last one already read."""

    state: str | None
    market: str | None
    limit: int
    cursor: str | None


def stream_question(query: Query) -> tuple[str, str]:
    """Return the market and timeframe that POST streams names."""
    values = read(query, NEW_STREAM, required=("market", "timeframe"))
    return values["market"], values["timeframe"]


def events_question(query: Query) -> EventsQuestion:
    """Return what GET streams/{id}/events asks for."""
    values = read(query, EVENTS)
    return EventsQuestion(values.get("cursor"), values.get("limit", DEFAULT_ROWS))


def streams_question(query: Query) -> StreamsQuestion:
    """Return which streams GET streams asks for."""
    values = read(query, STREAMS)
    limit = values.get("limit", DEFAULT_STREAMS)
    return StreamsQuestion(values.get("state"), values.get("market"), limit, values.get("cursor"))
