"""GET candles and GET coverage: one series with its certificate, or the certificate alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import spending
from datastore.api.params.market_lookup import find_market
from datastore.api.params.query_params import (
    DEFAULT_ROWS,
    DEFAULT_WAIT,
    MAX_ROWS,
    SeriesQuestion,
    coverage_question,
    query_of,
)
from datastore.api.params.times import askable
from datastore.api.params.window import Window, window
from datastore.api.responses.compression import compressed
from datastore.api.responses.json_response import json_answer, ready_answer, unless_known
from datastore.api.responses.response_cache import CacheHit, CacheLookup, keep
from datastore.api.responses.series_body import NUMBER_SHAPES, candles_bytes, coverage_json, etag
from datastore.api.views.cached_candles import RateLimitAndCache, asked, body_of, cache_name, parts_of
from datastore.api.views.requests import accepted, refused_json, request_json
from datastore.datastore_actor import answer
from datastore.models import Market
from datastore.reference.provider_clock import provider_now
from datastore.series.fill import NONE
from datastore.series.reader import Series, read_series
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import count_answer

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

    throttle_classes = [RateLimitAndCache]
    seen: CacheLookup | None = None  # what the cache knows of the question

    def get(self, request: Request) -> HttpResponseBase:
        """Answer rows and certificate from one snapshot; 304 where the asker has this answer already.

        What nobody has tried to fetch is fetched; 202 where it is not there in time, and nothing else is.
        """
        seen, question = self.seen, asked(request)
        if seen and seen.hit:
            return _given(request, seen.hit)
        page = _page(request.path, question)
        if seen and (still := seen.still(page.market)):
            return _given(request, still)
        spend = spending(request._request)
        found = answer(page.market, question.timeframe, page.read, page.reach, question.wait, spend)
        if found.request and found.is_to_come:
            return accepted(found.request)
        count_answer("database")
        running = request_json(found.request, found.refusal) if found.request else refused_json(found.refusal)
        kind = (question.timeframe, question.closed_only, question.numbers, question.fill)
        tag = etag(found.series, *kind, page.following, running)
        if known := unless_known(request, tag):
            return known
        body = candles_bytes(found.series, page.following, running)
        if seen and running is None and (name := cache_name(question)):
            keep(seen, name, found.series, tag, parts_of(body, found.series))
        return ready_answer(body, {"ETag": tag})


@method_decorator(compressed, name="dispatch")
class CoverageView(APIView):
    """GET coverage."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer the certificate with its totals."""
        question = coverage_question(query_of(request))
        page = _page(request.path, question)
        series = page.read()
        tag = etag(series, question.timeframe, "coverage", page.following)
        return unless_known(request, tag) or json_answer(coverage_json(series, page.following), {"ETag": tag})


def _given(request: Request, ready: CacheHit) -> HttpResponseBase:
    """Return a ready answer, or 304 where the asker has it."""
    count_answer("ready")
    if "HTTP_IF_NONE_MATCH" in request.META and (known := unless_known(request, ready.kept.etag)):
        return known
    return ready_answer(body_of(ready), {"ETag": ready.kept.etag})


def _page(path: str, question: SeriesQuestion) -> Page:
    market, frame = find_market(question.market), TIMEFRAMES[question.timeframe]
    shape = NUMBER_SHAPES[question.numbers]
    how: dict[str, Any] = {"closed_only": question.closed_only, "fill": question.fill, "shape": shape}
    read = partial(read_series, market, question.timeframe, **how)
    if question.start is None:
        return Page(market, partial(read, None, question.stop, limit=question.limit or DEFAULT_ROWS))
    span = window(frame, question.start, question.stop, question.limit or MAX_ROWS, provider_now())
    whole = partial(read, span.start, span.stop)
    if not span.has_more:
        return Page(market, whole)
    reach = min(span.end, span.start + MOST_FETCHED * timedelta(seconds=frame.base))
    return Page(market, whole, reach, _following(path, market.symbol, question, span))


def _following(path: str, symbol: str, question: SeriesQuestion, span: Window) -> str:
    parts: dict[str, str | int] = {
        "market": symbol,
        "timeframe": question.timeframe,
        "from": askable(span.stop),
        "to": askable(span.end),
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
