"""GET candles for a common question, answered from the cache before sessions and views are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from datastore.api.early_answer import answering_early, look_up
from datastore.api.params.accepted_format import accepted_format
from datastore.api.params.query_params import DEFAULT_ROWS, SeriesQuestion, candles_question
from datastore.api.responses.json_response import ready_answer, unless_known
from datastore.api.responses.response_cache import CacheHit
from datastore.series.written_format import FORMATS
from metering.table import count_answer

PATH = "/api/v1/candles"
WRITTEN = frozenset(FORMATS)  # whole, by the view


def ready_candles(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the middleware."""
    return answering_early(get_response, PATH, look_up_candles, ready_response)


def ready_response(request: HttpRequest, hit: CacheHit) -> HttpResponseBase:
    """Return a cached answer with the times it is to show; 304 if the reader has it already."""
    count_answer("ready")
    kept = hit.kept
    if "HTTP_IF_NONE_MATCH" in request.META and (known := unless_known(request, kept.etag)):
        return known
    body = kept.parts.joined(kept.series, kept.version, hit.now, hit.watermark)
    return ready_answer(body, {"ETag": kept.etag})


@lru_cache(maxsize=1024)
def _asked(query: str, accept: str) -> tuple[SeriesQuestion, str | None]:
    """Return what a query string of GET candles asks for, and the name under which its answer may be cached.

    The question's format is what it is to be written in, whole and by the view; None for json. Only the newest buckets
    as json are a common question; one for a range of its own has no name. Raises BadParameters.
    """
    question = candles_question(dict(QueryDict(query).lists()))
    form = question.format or accepted_format(accept, WRITTEN)
    question = replace(question, format=form if form in WRITTEN else None)
    if question.format or question.start is not None or question.stop is not None:
        return question, None
    limit, closed = question.limit or DEFAULT_ROWS, int(question.closed_only)
    name = f"{question.timeframe}:{limit}:{closed}:{question.numbers}:{question.fill}"
    return question, f"{name}:raw" if question.raw else name


look_up_candles = partial(look_up, asked=_asked)
