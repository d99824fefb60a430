"""GET candles for a common question, answered from the cache before sessions and views are looked at.

A middleware in front of all that such an answer does not need. Whatever it cannot answer goes on to the view with what
was found: a request is counted, and looked for in the cache, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, resolve
from rest_framework.exceptions import AuthenticationFailed, Throttled

from datastore.access.rate_limits import Bucket, RateLimitResult, take
from datastore.api.auth.api_key_header import key_of
from datastore.api.auth.throttle import bucket_of, headers_of
from datastore.api.errors import BadParameters
from datastore.api.params.accepted_format import accepted_format
from datastore.api.params.query_params import DEFAULT_ROWS, SeriesQuestion, candles_question
from datastore.api.responses.compression import compress
from datastore.api.responses.json_response import ready_answer, unless_known
from datastore.api.responses.response_cache import CacheHit, CacheLookup, lookup
from datastore.requests.endings import unanswered
from datastore.series.written_format import FORMATS
from metering.table import count_answer

PATH = "/api/v1/candles"
WRITTEN = frozenset(FORMATS)  # whole, by the view
LOOKED_UP = "candlekeep.looked-up"  # in request.META: no header can be spelled so
# What the view and the middleware behind this one would add: settings.MIDDLEWARE.
HEADERS = {"Allow": "GET, HEAD, OPTIONS", "X-Frame-Options": settings.X_FRAME_OPTIONS}


class Found(Protocol):
    """The cached answer to a question, if it may be given, and the turn that was taken."""

    @property
    def hit(self) -> CacheHit | None: ...
    @property
    def bucket(self) -> Bucket | None: ...
    @property
    def turn(self) -> RateLimitResult | None: ...


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A question, what is cached for it, and the turn that was taken for it."""

    question: SeriesQuestion
    form: str | None  # the format that is asked for, None for json
    name: str | None  # under which its answer may be cached
    bucket: Bucket | None
    turn: RateLimitResult | None
    cached: CacheLookup | None

    @property
    def hit(self) -> CacheHit | None:
        """Return the cached answer, if it may be given."""
        return self.cached.hit if self.cached else None


def ready_candles(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the middleware."""
    return answering_early(get_response, PATH, look_up, ready_response)


def answering_early(
    get_response: Callable[[HttpRequest], HttpResponseBase],
    path: str,
    look_up: Callable[[HttpRequest], Found],
    response_of: Callable[[HttpRequest, CacheHit], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return a middleware that answers GET at a path with what look_up() finds in the cache."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        asked = request.path == path and request.method == "GET"
        return (_ready(request, path, look_up, response_of) if asked else None) or get_response(request)

    return answer


def _ready(
    request: HttpRequest,
    path: str,
    look_up: Callable[[HttpRequest], Found],
    response_of: Callable[[HttpRequest, CacheHit], HttpResponseBase],
) -> HttpResponseBase | None:
    """Return the cached answer, None where the view must answer: with an error, or from the database."""
    try:
        if settings.REQUIRE_API_KEY and key_of(request) is None:
            return None  # a session may do
        request.get_host()
        found = look_up(request)
    except (AuthenticationFailed, BadParameters, DisallowedHost, Throttled):
        return None
    if found.hit is None or (found.turn and not found.turn.allowed):
        return None
    return finished(request, path, response_of(request, found.hit), found.bucket, found.turn)


def finished(
    request: HttpRequest,
    path: str,
    response: HttpResponseBase,
    bucket: Bucket | None,
    turn: RateLimitResult | None,
) -> HttpResponseBase:
    """Return a cached answer as the view at a path and the middleware behind this one would leave it."""
    request.resolver_match = _match(path)  # for the measured times
    for name, value in HEADERS.items() | headers_of(bucket, turn).items():
        response.headers[name] = value
    response = compress(request, response)
    if isinstance(response, HttpResponse):
        response.headers.setdefault("Content-Length", str(len(response.content)))
    return response


@cache
def _match(path: str) -> ResolverMatch:
    return resolve(path)


def ready_response(request: HttpRequest, hit: CacheHit) -> HttpResponseBase:
    """Return a cached answer with the times it is to show; 304 if the reader has it already."""
    count_answer("ready")
    kept = hit.kept
    if "HTTP_IF_NONE_MATCH" in request.META and (known := unless_known(request, kept.etag)):
        return known
    return ready_answer(kept.parts.joined(kept.series, kept.version, hit.now, hit.watermark), {"ETag": kept.etag})


def look_up(request: HttpRequest) -> LookedUp:
    """Count the request and look for its cached answer, once per request, in one round trip to Valkey, often none.

    Raises BadParameters before it is counted; AuthenticationFailed and Throttled for a key that is not valid.
    """
    found: LookedUp | None = request.META.get(LOOKED_UP)
    if found:
        return found
    question, name = parsed(request.META["QUERY_STRING"])
    asked = question.format or accepted_format(request.META.get("HTTP_ACCEPT", ""), WRITTEN)
    form = asked if asked in WRITTEN else None
    name = None if form else name
    bucket, turn, cached = counted(request, question.market, question.timeframe, name)
    found = request.META[LOOKED_UP] = LookedUp(question, form, name, bucket, turn, cached)
    return found


def counted(
    request: HttpRequest, market: str, timeframe: str, name: str | None
) -> tuple[Bucket | None, RateLimitResult | None, CacheLookup | None]:
    """Count a request and look for the answer that is cached under a name, if it has one, in one round trip.

    Return what the turn was taken from, the turn, and what is cached. Raises AuthenticationFailed and Throttled for a
    key that is not valid.
    """
    bucket, cached, turn = bucket_of(request), None, None
    # An answer that ends a waiting request must come from the database, for the request's row must end too.
    if name and (market, timeframe) not in unanswered:
        cached, turn = lookup(market, name, bucket)
    elif bucket:
        turn = take(bucket)
    return bucket, turn, cached


@lru_cache(maxsize=1024)
def parsed(query: str) -> tuple[SeriesQuestion, str | None]:
    """Return what a query string of GET candles asks for, and the name under which its answer may be cached.

    Only the newest buckets are a common question; one for a range of its own has no name. Raises BadParameters.
    """
    question = candles_question(dict(QueryDict(query).lists()))
    if question.start is not None or question.stop is not None:
        return question, None
    limit, closed = question.limit or DEFAULT_ROWS, int(question.closed_only)
    name = f"{question.timeframe}:{limit}:{closed}:{question.numbers}:{question.fill}"
    return question, f"{name}:raw" if question.raw else name
