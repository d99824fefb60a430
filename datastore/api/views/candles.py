"""GET candles and GET coverage: one series with its certificate, or the certificate alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from datastore.api.auth.permissions import spend_quota
from datastore.api.early_answer import CachedView
from datastore.api.params.market_lookup import find_market, market_to_read
from datastore.api.params.parameter import DEFAULT_WAIT_S, MAX_ROWS
from datastore.api.params.query_params import DEFAULT_ROWS, STRING, SeriesQuestion, coverage_question, query_of
from datastore.api.params.times import clamped_ms, to_ms
from datastore.api.params.window import window
from datastore.api.ready_candles import look_up_candles, ready_response
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer, ready_answer, unless_known
from datastore.api.responses.response_cache import CacheLookup, keep
from datastore.api.responses.series_body import NUMBER_SHAPES, candles_parts, coverage_json, etag
from datastore.api.responses.series_stream import series_stream
from datastore.api.views.requests import accepted, request_address, request_json
from datastore.datastore_actor import answer
from datastore.models import Market
from datastore.reference.provider_clock import provider_now
from datastore.series.export import Question
from datastore.series.fill import NONE
from datastore.series.reader import read_certificate, read_series
from datastore.series.written_format import FORMATS, Format
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import count_answer

# A question longer than this is fetched from its provider in parts: 300 pages of the provider's.
MAX_FETCH_BUCKETS = 600_000


@dataclass(frozen=True, slots=True)
class Page:
    """What of a question one answer reads, how far the whole question reaches, and the address of the next page."""

    start: datetime | None
    stop: datetime | None
    limit: int | None = None
    reach: datetime | None = None
    following: str | None = None


class Candles(CachedView):
    """GET candles."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer rows and certificate from one snapshot; 304 if the reader has this answer already.

        A gap that has not been fetched before is fetched; 202 if it does not come in time and there is nothing else.
        """
        found = self.find(request, look_up_candles)
        if found.question.format:
            return _written(request, found.question, FORMATS[found.question.format])

        hit = found.hit
        if hit is None and found.cached and found.cached.unconfirmed:
            hit = found.cached.still_valid(find_market(found.question.market))
        if hit is None:
            market = market_to_read(found.question.market)
            return _read_answer(request, market, found.question, found.name, found.cached)
        return ready_response(request._request, hit)


class CoverageView(CompressedView):
    """GET coverage."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer the certificate with its totals."""
        question = coverage_question(query_of(request))
        market = market_to_read(question.market)
        page = _page(request.path, market, question)
        series = read_series(market, question.timeframe, page.start, page.stop, limit=page.limit)
        tag = etag(series, question.timeframe, "coverage", page.following)
        return unless_known(request._request, tag) or json_answer(coverage_json(series, page.following), {"ETag": tag})


def _read_answer(
    request: Request, market: Market, question: SeriesQuestion, name: str | None, cached: CacheLookup | None
) -> HttpResponseBase:
    """Return the answer that the Datastore gives, and cache it under its name if it has one and is worth it."""
    page = _page(request.path, market, question)
    read = partial(
        read_series,
        market,
        question.timeframe,
        page.start,
        page.stop,
        limit=page.limit,
        closed_only=question.closed_only,
        fill=question.fill,
        raw=question.raw,
        shape=NUMBER_SHAPES[question.numbers],
    )
    spend = partial(spend_quota, request._request)
    found = answer(market, question.timeframe, read, page.reach, question.wait, spend)
    if found.request and found.is_to_come:
        return accepted(found.request)

    count_answer("database")
    series, running = found.series, None
    if found.request:
        running = request_json(found.request, found.refusal)
    elif found.refusal:
        running = {"id": None, "url": None, "state": None, "error": found.refusal}
    kind = (question.timeframe, question.closed_only, question.numbers, question.fill, question.raw)
    tag = etag(series, *kind, page.following, running)
    if known := unless_known(request._request, tag):
        return known
    parts = candles_parts(series, page.following, running)
    if cached and name and running is None:
        keep(cached, name, series, tag, parts)
    body = parts.joined(series.series_id, series.version, to_ms(series.server_time), to_ms(series.watermark))
    return ready_answer(body, {"ETag": tag})


def _written(request: Request, question: SeriesQuestion, form: Format) -> HttpResponseBase:
    """Return the whole range as one answer of any length; what was not fetched before is fetched as for json."""
    market = market_to_read(question.market)
    start, stop, limit, frame = question.start, question.stop, question.limit, TIMEFRAMES[question.timeframe]
    reach = None
    if start is None:
        limit = limit or DEFAULT_ROWS
    else:
        span = window(frame, start, stop, limit or MAX_ROWS, provider_now(market.provider))
        start, stop = span.start, span.stop if limit else min(span.end, span.open_end)
        reach = min(stop, start + MAX_FETCH_BUCKETS * timedelta(seconds=frame.base))
    read = partial(read_certificate, market, question.timeframe, start, stop, limit if start is None else None)
    found = answer(market, question.timeframe, read, reach, question.wait, partial(spend_quota, request._request))
    if found.request and found.is_to_come:
        return accepted(found.request)

    count_answer("database")
    kind = (question.timeframe, question.closed_only, question.numbers, question.fill, question.raw, form.name)
    tag = etag(found.series, *kind)
    if known := unless_known(request._request, tag):
        return known
    headers = {"ETag": tag}
    if found.request:
        headers["Candlekeep-Request"] = request_address(found.request)
    as_numbers = question.numbers != STRING
    asked = Question(
        market,
        question.timeframe,
        start,
        stop,
        limit if start is None else None,
        question.fill,
        question.closed_only,
        question.raw,
        form.shape(as_numbers),
    )
    return series_stream(request._request, asked, form, as_numbers, found.series, headers)


def _page(path: str, market: Market, question: SeriesQuestion) -> Page:
    if question.start is None:
        return Page(None, question.stop, question.limit or DEFAULT_ROWS)
    frame = TIMEFRAMES[question.timeframe]
    span = window(frame, question.start, question.stop, question.limit or MAX_ROWS, provider_now(market.provider))
    if not span.has_more:
        return Page(span.start, span.stop)
    reach = min(span.end, span.start + MAX_FETCH_BUCKETS * timedelta(seconds=frame.base))

    parts: dict[str, str | int] = {
        "market": market.symbol,
        "timeframe": question.timeframe,
        "from": clamped_ms(span.stop),
        "to": clamped_ms(span.end),
    }
    if question.limit:
        parts["limit"] = question.limit
    if question.closed_only:
        parts["closed_only"] = 1
    if question.numbers != "string":
        parts["numbers"] = question.numbers
    if question.fill != NONE:
        parts["fill"] = question.fill
    if question.raw:
        parts["raw"] = 1
    if question.wait != DEFAULT_WAIT_S:
        parts["wait"] = f"{question.wait:g}"
    return Page(span.start, span.stop, None, reach, f"{path}?{urlencode(parts, safe=':')}")
