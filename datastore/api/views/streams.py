"""Streams, which an application follows at run time: POST and GET streams; GET, PUT, DELETE and follow streams/{id}."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import requester, spend_quota
from datastore.api.errors import Conflict, NotFound
from datastore.api.params.json_body import JsonBody, posted
from datastore.api.params.market_lookup import find_market, provider_json
from datastore.api.params.query_params import DEFAULT_ROWS, no_question, query_of
from datastore.api.params.stream_query import events_question, stream_question, streams_question
from datastore.api.params.times import to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer
from datastore.api.responses.paging import newest_first, next_page
from datastore.api.views.follow import to_stream
from datastore.models import Stream
from datastore.requests.plan import coordinator_runs
from datastore.streams import lifecycle
from datastore.streams.lifecycle import Progress
from datastore.streams.steps import Step, steps_of

NO_TOPICS_NOW = "no Coordinator is running, so no topic can be made now"

State = Stream.State


class Streams(CompressedView):
    """GET streams and POST streams."""

    parser_classes = [JsonBody]

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of streams, the newest first."""
        asked = streams_question(query_of(request))
        streams = Stream.objects.select_related("market", "topic")
        if asked.state is not None:
            streams = streams.filter(state=asked.state)
        if asked.market is not None:
            streams = streams.filter(market=find_market(asked.market))
        found = newest_first(streams, asked.cursor, asked.limit)
        page = found[: asked.limit]
        known = lifecycle.progress(stream for stream in page if stream.state in Stream.ALIVE)
        shown = [stream_json(stream, known.get(stream.pk)) for stream in page]
        more = next_page(request.path, found, asked.limit, state=asked.state, market=asked.market)
        return json_answer({**provider_json(), "streams": shown, "next": more})

    def post(self, request: Request) -> HttpResponse:
        """Make a stream or renew the one that is there: 202, and 200 if it is live already.

        409 if there may be no more, 429 if its history is more than the client's budget for the day has left.
        """
        name, timeframe = stream_question(posted(request))
        market = find_market(name)
        try:
            stream, _ = lifecycle.create(market, timeframe, requester(request), partial(spend_quota, request._request))
        except lifecycle.TooManyStreams:
            raise Conflict(
                f"{settings.MAX_STREAMS} streams are alive, and MAX_STREAMS allows no more. GET /api/v1/streams lists "
                "them: DELETE one, or let its lease run out."
            ) from None
        status = 200 if stream.state == State.LIVE else 202
        return json_answer(_whole(_find(stream.pk)), {"Location": stream_address(stream)}, status)


class OneStream(APIView):
    """GET, PUT and DELETE streams/{id}."""

    def get(self, request: Request, number: str) -> HttpResponse:
        """Answer one stream with every step of its life."""
        no_question(query_of(request))
        return json_answer(_whole(_find(int(number))))

    def put(self, request: Request, number: str) -> HttpResponse:
        """Renew its lease. 409 if it has ended."""
        stream = _find(int(number))
        if not lifecycle.renew(stream.pk):
            raise _over(number)
        return json_answer(_whole(_find(stream.pk)))

    def delete(self, request: Request, number: str) -> HttpResponse:
        """End it: 202, for its topic retires afterwards if no other stream needs it. Safe to repeat."""
        stream = _find(int(number))
        lifecycle.end(stream.pk, by=requester(request))
        return json_answer(_whole(_find(stream.pk)), status=202)


class StreamEvents(APIView):
    """GET streams/{id}/events."""

    def get(self, request: Request, number: str) -> HttpResponse:
        """Redirect to the stream's candles as they change; its lease is renewed while they are followed.

        409 if it has ended.
        """
        question = events_question(query_of(request))
        stream = _find(int(number))
        if not lifecycle.renew(stream.pk):
            raise _over(number)
        again = events_url(stream)
        if question.limit != DEFAULT_ROWS:
            again += f"?limit={question.limit}"
        return to_stream(
            request, stream.market, stream.timeframe, again, question.cursor, question.limit, stream=stream.pk
        )


def stream_address(stream: Stream) -> str:
    """Return where the stream is shown."""
    return f"/api/v1/streams/{stream.pk}"


def events_url(stream: Stream) -> str:
    """Return where the stream's candles are pushed."""
    return f"{stream_address(stream)}/events"


def stream_json(stream: Stream, progress: Progress | None) -> dict[str, Any]:
    """Return one stream; times in milliseconds, what is known of its data only while it is alive."""
    known = progress or Progress()
    topic = stream.topic
    return {
        "id": stream.pk,
        "url": stream_address(stream),
        "market": stream.market.symbol,
        "timeframe": stream.timeframe,
        "state": stream.state,
        "topic": topic and topic.name,
        "topic_state": topic and topic.state,
        "created": to_ms(stream.created_at),
        "live": to_ms(stream.live_at),
        "lease_until": to_ms(stream.lease_until),
        "ended": to_ms(stream.ended_at),
        "attempts": stream.attempts,
        "next_try": to_ms(stream.next_try),
        "error": stream.error,
        "lag": known.lag,
        "newest": to_ms(known.newest),
        "last_price": known.price,
        "events_url": events_url(stream),
    }


def step_json(step: Step) -> dict[str, Any]:
    """Return one step; `at` is null while it is not taken."""
    return {"step": step.name, "at": to_ms(step.at), "by": step.by or None}


def _whole(stream: Stream) -> dict[str, Any]:
    alive = stream.state in Stream.ALIVE
    progress = lifecycle.progress([stream]).get(stream.pk) if alive else None
    shown = stream_json(stream, progress)
    if stream.state == State.REQUESTED and not coordinator_runs():
        shown["error"] = shown["error"] or NO_TOPICS_NOW
    return {**provider_json(), **shown, "steps": [step_json(step) for step in steps_of(stream)]}


def _over(number: str) -> Conflict:
    return Conflict(f"Stream {number} is not alive any more. POST /api/v1/streams asks for another one.")


def _find(number: int) -> Stream:
    found = Stream.objects.select_related("market", "topic").filter(pk=number).first()
    if found is None:
        raise NotFound(f"There is no stream {number}. One that ended is kept for 30 days.")
    return found
