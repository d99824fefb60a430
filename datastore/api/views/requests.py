"""GET requests/{id} and POST backfill: what is being fetched for a question, and a span fetched on its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import spend_quota
from datastore.api.errors import NotFound
from datastore.api.params.json_body import JsonBody, posted
from datastore.api.params.market_lookup import find_market
from datastore.api.params.query_params import backfill_question, no_question, query_of
from datastore.api.params.times import clamped_ms, to_ms
from datastore.api.responses.json_response import json_answer
from datastore.api.responses.series_body import completeness_json
from datastore.blockers import Blockers, with_lease
from datastore.datastore_actor import request_spans
from datastore.models import DatastoreRequest, FetchRequest
from datastore.reference.markets import market_of
from datastore.reference.provider_clock import provider_now
from datastore.reference.provider_registry import traits_of
from datastore.requests.endings import end_answered
from datastore.requests.plan import NO_COORDINATOR, coordinator_runs, final_spans
from datastore.series.reader import read_completeness
from datastore.timeframes.timeframe import TIMEFRAMES

State = DatastoreRequest.State
READY = (State.RETURNING_DATA, State.IDLE)


class OneRequest(APIView):
    """GET requests/{id}."""

    def get(self, request: Request, number: str) -> HttpResponse:
        """Answer how far a request is; being shown its end ends it."""
        no_question(query_of(request))
        found = DatastoreRequest.objects.filter(pk=int(number)).first()
        if found is None:
            raise NotFound(f"There is no request {number}. One that ended is kept for a day.")
        body = request_json(found, None if coordinator_runs() else NO_COORDINATOR)
        market, body["completeness"] = market_of(found.market), None
        if market is not None and found.start is not None and found.stop is not None:
            there = read_completeness(market, found.timeframe, found.start, found.stop)
            body["completeness"] = completeness_json(there)
        end_answered([found.name], by="its reader was notified")
        return json_answer(body)


class Backfill(APIView):
    """POST backfill."""

    parser_classes = [JsonBody]

    def post(self, request: Request) -> HttpResponse:
        """Ask for a span of one market's candles: 202 and the request, 200 with null if there is nothing to fetch.

        Both say how much of the span is there. 429 if its pages are more than the client's budget for the day has left.
        """
        asked = backfill_question(posted(request, flags=("again",)))
        market, frame = find_market(asked.market), TIMEFRAMES[asked.timeframe]
        now = provider_now(market.provider)
        candles = traits_of(market.provider).candles
        spans = list(final_spans(candles, frame.base, frame.floor(asked.start), frame.ceil(asked.stop or now), now))
        purpose, spend = FetchRequest.Purpose.BACKFILL, partial(spend_quota, request._request)
        made = request_spans(market, asked.timeframe, spans, purpose, spend, again=asked.again)
        there = completeness_json(read_completeness(market, asked.timeframe, asked.start, asked.stop or now))
        return accepted(made, completeness=there) if made else json_answer({"request": None, "completeness": there})


def accepted(request: DatastoreRequest, **more: Any) -> HttpResponse:
    """Return 202 with more fields: the data is being fetched, and Location shows how far it is."""
    body = {"request": request_json(request, None if coordinator_runs() else NO_COORDINATOR), **more}
    return json_answer(body, {"Location": request_address(request), "Retry-After": "2"}, status=202)


def request_address(request: DatastoreRequest) -> str:
    """Return where the request is shown."""
    return f"/api/v1/requests/{request.pk}"


def request_json(request: DatastoreRequest, refusal: str | None = None) -> dict[str, Any]:
    """Return the request with its progress; times in milliseconds, refusal says why nothing is done just now."""
    fetches = list(with_lease(FetchRequest.objects.filter(pk__in=request.fetches)).order_by("id"))
    pages_done, pages_total = pages_of(fetches)
    blockers = Blockers()
    failed = request.state == State.ERROR or (request.state == State.IDLE and request.error_count)
    errors = (fetch.error for fetch in fetches if fetch.error and fetch.state != FetchRequest.State.DONE)
    return {
        "id": request.pk,
        "url": request_address(request),
        "state": request.state,
        "label": request.get_state_display(),
        "market": request.market,
        "timeframe": request.timeframe,
        "from": to_ms(request.start),
        "to": to_ms(request.stop),
        "created": to_ms(request.created_at),
        "pages_done": pages_done,
        "pages_total": pages_total,
        "eta": to_ms(eta_of(fetches, timezone.now())),
        "error": (request.last_error if failed else None) or refusal or next(errors, None),
        "answer": answer_address(request) if request.state in READY else None,
        "fetches": [fetch_json(fetch, blockers) for fetch in fetches],
    }


def fetch_json(fetch: Any, blockers: Blockers) -> dict[str, Any]:
    """Return one span (of with_lease) that is fetched, and what it waits for unless a job fetches it now."""
    waits = fetch.state in FetchRequest.ACTIVE and not blockers.is_fetching(fetch)
    return {
        "resolution": fetch.resolution,
        "from": to_ms(fetch.start),
        "to": to_ms(fetch.stop),
        "state": fetch.state,
        "reached": to_ms(fetch.reached),
        "pages_done": fetch.pages_done,
        "pages_total": fetch.pages_total,
        "next_try": to_ms(fetch.next_try),
        "error": fetch.error,
        "waits_for": blockers.of_request(fetch) if waits else None,
    }


def pages_of(fetches: Sequence[FetchRequest]) -> tuple[int, int | None]:
    """Return how many of the provider's pages are done, and how many there are; None while a fetch does not know."""
    totals = [fetch.pages_total for fetch in fetches]
    return sum(fetch.pages_done for fetch in fetches), None if None in totals else sum(total or 0 for total in totals)


def eta_of(fetches: Sequence[FetchRequest], now: datetime) -> datetime | None:
    """Return when all pages will be done at the pace so far, None if that is unknown."""
    done, total = pages_of(fetches)
    if not done or total is None or done >= total:
        return None
    return now + (now - min(fetch.created_at for fetch in fetches)) / done * (total - done)


def answer_address(request: DatastoreRequest) -> str | None:
    """Return where the candles are that the request was for."""
    if request.start is None or request.stop is None:
        return None
    span = {"from": clamped_ms(request.start), "to": clamped_ms(request.stop)}
    parts = {"market": request.market, "timeframe": request.timeframe, **span}
    return f"/api/v1/candles?{urlencode(parts, safe=':')}"
