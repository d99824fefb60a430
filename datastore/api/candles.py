"""GET candles and GET coverage: one series with its certificate, or the certificate alone."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.answers import json_answer
from datastore.api.instants import to_ms
from datastore.api.lookup import find_market
from datastore.api.params import (
    DEFAULT_ROWS,
    MAX_ROWS,
    SeriesQuestion,
    candles_question,
    coverage_question,
    query_of,
)
from datastore.api.series import candles_json, coverage_json, etag
from datastore.api.window import Window, window
from datastore.clock import provider_now
from datastore.merge import Series, read_series
from datastore.timeframes import TIMEFRAMES


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a series, and the address of the next."""

    series: Series
    following: str | None


@method_decorator(gzip_page, name="dispatch")
class Candles(APIView):
    """GET candles."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer rows and certificate from one snapshot; 304 where the asker has this answer already."""
        question = candles_question(query_of(request))
        page = _read(request.path, question)
        tag = etag(page.series, question.timeframe, question.closed_only, question.numbers, page.following)
        return _unless_known(request, tag) or json_answer(
            candles_json(page.series, question.numbers, page.following), {"ETag": tag}
        )


@method_decorator(gzip_page, name="dispatch")
class CoverageView(APIView):
    """GET coverage."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer the certificate with its totals."""
        question = coverage_question(query_of(request))
        page = _read(request.path, question)
        tag = etag(page.series, question.timeframe, "coverage", page.following)
        return _unless_known(request, tag) or json_answer(coverage_json(page.series, page.following), {"ETag": tag})


def _read(path: str, asked: SeriesQuestion) -> Page:
    market = find_market(asked.market)
    if asked.start is None:
        limit = asked.limit or DEFAULT_ROWS
        back = read_series(market, asked.timeframe, None, asked.stop, limit=limit, closed_only=asked.closed_only)
        return Page(back, None)
    span = window(TIMEFRAMES[asked.timeframe], asked.start, asked.stop, asked.limit or MAX_ROWS, provider_now())
    series = read_series(market, asked.timeframe, span.start, span.stop, closed_only=asked.closed_only)
    return Page(series, _following(path, market.symbol, asked, span) if span.has_more else None)


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
    return f"{path}?{urlencode(parts, safe=':')}"


def _unless_known(request: Request, tag: str) -> HttpResponseBase | None:
    """Return 304 where If-None-Match names this tag, else None."""
    response = HttpResponse(headers={"Cache-Control": "no-cache", "ETag": tag})
    answer = get_conditional_response(request._request, etag=tag, response=response)
    return None if answer is response else answer
