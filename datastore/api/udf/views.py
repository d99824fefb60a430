"""The addresses under /udf/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from datastore.api.early_answer import CachedView
from datastore.api.errors import NotFound
from datastore.api.params.market_lookup import find_market, market_to_read
from datastore.api.params.parameter import MAX_ROWS
from datastore.api.params.query_params import no_question, query_of
from datastore.api.params.times import to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer, ready_answer, unless_known
from datastore.api.responses.problem import RETRY_AFTER_SECONDS
from datastore.api.responses.response_cache import CacheLookup, keep
from datastore.api.responses.series_body import etag
from datastore.api.udf.errors import udf_exception_handler, udf_refusal
from datastore.api.udf.history import BAR, bar_marks, bars_body, no_bars_body, timescale_marks
from datastore.api.udf.query import (
    HistoryQuestion,
    marks_question,
    search_question,
    symbol_question,
)
from datastore.api.udf.ready_bars import COMPLETE, is_newest, look_up_bars, ready_bars_response
from datastore.api.udf.resolutions import SUPPORTED
from datastore.api.udf.symbol_info import TYPE, found_json, symbol_json
from datastore.api.views.counted_rows import RowReader, stored_before
from datastore.models import Market
from datastore.reference.provider_clock import provider_now
from datastore.series.price_steps import steps_of
from datastore.series.reader import Series, read_series
from datastore.timeframes.intervals import micros_of
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import count_answer


class UdfView(CompressedView):
    """An address of the feed: its refusals have the library's shape."""

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        """Return what writes a refusal."""
        return udf_exception_handler


class Config(UdfView):
    """GET /udf/config."""

    def get(self, request: Request) -> HttpResponse:
        """Answer what the feed can do."""
        no_question(query_of(request))
        exchanges = Market.objects.order_by("exchange").values_list("exchange", flat=True).distinct()
        every = [{"value": "", "name": "All exchanges", "desc": ""}]
        return json_answer(
            {
                "supported_resolutions": SUPPORTED,
                "supports_search": True,
                "supports_group_request": False,
                "supports_marks": True,
                "supports_timescale_marks": True,
                "supports_time": True,
                "exchanges": every + [{"value": name, "name": name, "desc": name} for name in exchanges],
                "symbols_types": [{"name": "All types", "value": ""}, {"name": "Crypto", "value": TYPE}],
            }
        )


class Time(UdfView):
    """GET /udf/time."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the provider's time in seconds, as text."""
        no_question(query_of(request))
        seconds = micros_of(provider_now()) // 1_000_000
        return HttpResponse(str(seconds), content_type="text/plain", headers={"Cache-Control": "no-store"})


class Symbols(UdfView):
    """GET /udf/symbols."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one market as a symbol."""
        market = find_market(symbol_question(query_of(request)))
        return json_answer(symbol_json(market, steps_of([market.pk])[market.pk]))


class Search(UdfView):
    """GET /udf/search."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the symbols whose names hold a text."""
        return json_answer(found_json(search_question(query_of(request))))


class History(CachedView, UdfView):
    """GET /udf/history."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer bars from the cache if they are the newest ones, else from one snapshot; fetch what is missing."""
        found = self.find(request, look_up_bars)
        question, cached, hit = found.question, found.cached, found.hit
        if hit is None and cached and cached.unconfirmed:
            known = cached.still_valid(find_market(question.market))
            hit = known if known and is_newest(question, known.now) else None
        if hit is None:
            return _read_answer(request, market_to_read(question.market), question, found.name, cached)
        return ready_bars_response(request._request, hit)


class Marks(UdfView):
    """GET /udf/marks."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the marks of the bars in a range."""
        return json_answer(bar_marks(_marked_series(request)))


class TimescaleMarks(UdfView):
    """GET /udf/timescale_marks."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the marks of the time axis in a range."""
        return json_answer(timescale_marks(_marked_series(request).segments))


class Nowhere(UdfView):
    """Every other address under /udf/."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound, before the method is looked at."""
        raise NotFound("There is: config, time, symbols, search, history, marks, timescale_marks.")


def _read_answer(
    request: Request, market: Market, question: HistoryQuestion, name: str | None, cached: CacheLookup | None
) -> HttpResponseBase:
    """Return the bars that the Datastore gives, and cache them if they are the newest."""
    frame, reader = TIMEFRAMES[question.timeframe], RowReader(request, market, question.timeframe, BAR)
    newest = is_newest(question, to_ms(provider_now(market.provider)))
    stop = None if newest else frame.ceil(question.stop)
    if question.count is not None:
        found = reader.until(stop, question.count)
    else:
        end = frame.after(frame.floor(provider_now(market.provider))) if stop is None else stop
        start = frame.ceil(question.start)
        if start >= end:
            return ready_answer(no_bars_body(stored_before(market, question.timeframe, start)))
        count = min(max(frame.between(start, end), 1), MAX_ROWS)
        found = reader.within(stop, count)
    count_answer("database")
    if found.is_to_come:
        wait = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return udf_refusal(503, "These bars are being fetched from the provider; ask again soon.", wait)

    series = found.first
    body = bars_body(found.rows) if found.rows else no_bars_body(_before(market, series))
    complete = "true" if series.complete and found.is_whole else "false"
    tag = etag(series, "udf", question.timeframe, question.count, question.start, series.stop)
    if known := unless_known(request, tag):
        return known
    if cached and name and newest and found.is_whole:
        keep(cached, name, series, tag, (body, b"", complete.encode()))
    return ready_answer(body, {"ETag": tag, COMPLETE: complete})


def _before(market: Market, series: Series) -> Any:
    return stored_before(market, series.timeframe, series.start)


def _marked_series(request: Request) -> Series:
    """Return the series of a range, without fetching anything: what it lacks is what is marked."""
    question = marks_question(query_of(request))
    market = find_market(question.market)
    frame = TIMEFRAMES[question.timeframe]
    stop = min(question.stop, frame.after(frame.floor(provider_now(market.provider))))
    start = max(question.start, frame.after(frame.ceil(stop), -MAX_ROWS))
    return read_series(market, question.timeframe, start, max(stop, frame.after(frame.floor(start))))
