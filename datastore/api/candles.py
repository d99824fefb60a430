"""GET candles and GET coverage: one series with its certificate, or the certificate alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.answers import json_answer, ready_answer
from datastore.api.compression import compressed
from datastore.api.instants import to_ms
from datastore.api.lookup import find_market
from datastore.api.params import (
    DEFAULT_ROWS,
    DEFAULT_WAIT,
    MAX_ROWS,
    SeriesQuestion,
    candles_question,
    coverage_question,
    query_of,
)
from datastore.api.requests import accepted, refused_json, request_json
from datastore.api.series import NUMBER_SHAPES, candles_bytes, coverage_json, etag
from datastore.api.window import Window, window
from datastore.clock import provider_now
from datastore.datastore_actor import answer
from datastore.fill import NONE
from datastore.merge import Series, read_series
from datastore.models import Market
from datastore.timeframes import TIMEFRAMES

# A question longer than this is fetched from its provider in parts: 300 pages of the provider's.
MOST_FETCHED = 600_000  # buckets


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a question: how to read it, how far the whole question reaches, and the address of the next page."""

    market: Market
    read: Callable[[], Series]
    reach: datetime | None = None
    following: str | None = None


@method_decorator(compressed, name="dispatch")
class Candles(APIView):
    """GET candles."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer rows and certificate from one snapshot; 304 where the asker has this answer already.

        What nobody has tried to fetch is fetched; 202 where it is not there in time, and nothing else is.
        """
        question = candles_question(query_of(request))
        page = _page(request.path, question)
        found = answer(page.market, question.timeframe, page.read, page.reach, question.wait)
        if found.request and found.is_to_come:
            return accepted(found.request)
        running = request_json(found.request, found.refusal) if found.request else refused_json(found.refusal)
        kind = (question.timeframe, question.closed_only, question.numbers, question.fill)
        tag = etag(found.series, *kind, page.following, running)
        return _unless_known(request, tag) or ready_answer(
            candles_bytes(found.series, page.following, running), {"ETag": tag}
        )


@method_decorator(compressed, name="dispatch")
class CoverageView(APIView):
    """GET coverage."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer the certificate with its totals."""
        question = coverage_question(query_of(request))
        page = _page(request.path, question)
        series = page.read()
        tag = etag(series, question.timeframe, "coverage", page.following)
        return _unless_known(request, tag) or json_answer(coverage_json(series, page.following), {"ETag": tag})


def _page(path: str, asked: SeriesQuestion) -> Page:
    market, frame = find_market(asked.market), TIMEFRAMES[asked.timeframe]
    how: dict[str, Any] = {"closed_only": asked.closed_only, "fill": asked.fill, "shape": NUMBER_SHAPES[asked.numbers]}
    read = partial(read_series, market, asked.timeframe, **how)
    if asked.start is None:
        return Page(market, partial(read, None, asked.stop, limit=asked.limit or DEFAULT_ROWS))
    span = window(frame, asked.start, asked.stop, asked.limit or MAX_ROWS, provider_now())
    whole = partial(read, span.start, span.stop)
    if not span.has_more:
        return Page(market, whole)
    reach = min(span.end, span.start + MOST_FETCHED * timedelta(seconds=frame.base))
    return Page(market, whole, reach, _following(path, market.symbol, asked, span))


def _following(path: str, symbol: str, question: SeriesQuestion, span: Window) -> str:
    parts: dict[str, str | int] = {
        "market": symbol,
        "timeframe": question.timeframe,
        "from": to_ms(span.stop),
        "to": to_ms(span.end),
    }
    if question.limit:
        parts["limit"] = question.limit
    if question.closed_only:
        parts["closed_only"] = 1
    if question.numbers != "string":
        parts["numbers"] = question.numbers
    if question.fill != NONE:
        parts["fill"] = question.fill
    if question.wait != DEFAULT_WAIT:
        parts["wait"] = f"{question.wait:g}"
    return f"{path}?{urlencode(parts, safe=':')}"


def _unless_known(request: Request, tag: str) -> HttpResponseBase | None:
    """Return 304 where If-None-Match names this tag, else None."""
    response = HttpResponse(headers={"Cache-Control": "no-cache", "ETag": tag})
    answer = get_conditional_response(request._request, etag=tag, response=response)
    return None if answer is response else answer
