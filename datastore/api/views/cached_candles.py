"""The newest N candles of a timeframe, answered from cached bytes (responses/response_cache.py)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.http import QueryDict
from rest_framework.request import Request

from datastore.access.rate_limits import take, take_leased
from datastore.api.auth.throttle import RateLimit, apply, bucket_of
from datastore.api.errors import BadParameters
from datastore.api.params.query_params import DEFAULT_ROWS, SeriesQuestion, candles_question
from datastore.api.params.times import ms, to_ms
from datastore.api.responses.json_response import pack
from datastore.api.responses.response_cache import CacheHit, lookup, recent
from datastore.api.responses.series_body import cursor
from datastore.datastore_actor import is_awaited
from datastore.series.reader import Series

if TYPE_CHECKING:
    from rest_framework.views import APIView


class RateLimitAndCache(RateLimit):
    """The rate limit of a view that may have a ready answer: turn and answer come in one round trip, or in none."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True, with what was found as the view's `seen`; raise Throttled where too many have come."""
        symbol, name = _kept(request)
        if name is None:
            return super().allow_request(request, view)
        bucket = bucket_of(request._request)
        turn = take_leased(bucket) if bucket else None
        seen = recent(symbol, name)
        if seen is None:
            seen, taken = lookup(symbol, name, None if turn else bucket)
            turn = turn or taken
        elif bucket and turn is None:
            turn = take(bucket)
        apply(view, bucket, turn)
        view.seen = seen  # type: ignore[attr-defined]
        return True


def _kept(request: Request) -> tuple[str, str | None]:
    """Return the market and the name under which an answer may be kept, None where it is not one that is."""
    try:
        question = asked(request)
    except BadParameters:
        return "", None  # the view will say so, once the request is counted
    if is_awaited(question.market, question.timeframe):
        return "", None
    return question.market, cache_name(question)


def asked(request: Request) -> SeriesQuestion:
    """Return what GET candles asks for; the same query again costs nothing. Raises BadParameters."""
    return _read(request.META["QUERY_STRING"])


@lru_cache(maxsize=1024)
def _read(query: str) -> SeriesQuestion:
    return candles_question(dict(QueryDict(query).lists()))


def cache_name(question: SeriesQuestion) -> str | None:
    """Return the name under which a question's answer is kept, None where it asks for a range of its own."""
    if question.start is not None or question.stop is not None:
        return None
    limit, closed = question.limit or DEFAULT_ROWS, int(question.closed_only)
    return f"{question.timeframe}:{limit}:{closed}:{question.numbers}:{question.fill}"


def parts_of(body: bytes, series: Series) -> tuple[bytes, bytes, bytes]:
    """Return an answer's bytes before, between and after what body_of() puts in anew."""
    before, rest = body.split(_times(to_ms(series.server_time), ms(series.watermark)), 1)
    between, after = rest.split(cursor(series).encode(), 1)
    return before, between, after


def body_of(ready: CacheHit) -> bytes:
    """Return an answer's bytes with its times and its cursor."""
    kept = ready.kept
    cursor_now = pack(kept.series, kept.version, ready.watermark).encode()
    return b"".join((kept.before, _times(ready.now, ready.watermark), kept.between, cursor_now, kept.after))


def _times(now: int, watermark: int | None) -> bytes:
    return b'"server_time":%d,"watermark":%s,' % (now, b"null" if watermark is None else b"%d" % watermark)
