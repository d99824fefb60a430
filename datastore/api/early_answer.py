"""Answers from the cache, given before sessions and views are looked at.

A middleware in front of all that such an answer does not need. Whatever it cannot answer goes on to the view with what
was found: a request is counted, and looked for in the cache, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, resolve
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from datastore.access.rate_limits import Bucket, RateLimitResult, take
from datastore.api.auth.api_key_header import key_of
from datastore.api.auth.throttle import bucket_of, enforce, headers_of, take_turn
from datastore.api.errors import BadParameters
from datastore.api.responses.compression import CompressedView, compress
from datastore.api.responses.response_cache import CacheHit, CacheLookup, lookup
from datastore.ingest.market_cache import note_reader
from datastore.requests.endings import unanswered

LOOKED_UP = "candlekeep.looked-up"  # in request.META: no header can be spelled so
# What the view and the middleware behind this one would add: settings.MIDDLEWARE.
HEADERS = {"Allow": "GET, HEAD, OPTIONS", "X-Frame-Options": settings.X_FRAME_OPTIONS}


class SeriesAsked(Protocol):
    """A question about one series."""

    @property
    def market(self) -> str: ...
    @property
    def timeframe(self) -> str: ...


Q = TypeVar("Q", bound=SeriesAsked)


@dataclass(frozen=True, slots=True)
class LookedUp(Generic[Q]):
    """A question, what is cached for it, the cached answer if it may be given, and the turn that was taken for it."""

    question: Q
    name: str | None  # under which its answer may be cached
    bucket: Bucket | None
    turn: RateLimitResult | None
    cached: CacheLookup | None
    hit: CacheHit | None


class CachedView(CompressedView):
    """A view whose answers to GET may come from the cache; its questions are counted when they are looked up."""

    def check_throttles(self, request: Request) -> None:
        """Count what is not a GET."""
        if request.method not in ("GET", "HEAD"):
            super().check_throttles(request)

    def find(self, request: Request, found_of: Callable[[HttpRequest], LookedUp[Q]]) -> LookedUp[Q]:
        """Return what is found for a GET; a bad question counts too. Raises Throttled, and what found_of() raises."""
        try:
            found = found_of(request._request)
        except BadParameters:
            take_turn(request, self)
            raise
        if found.bucket:
            enforce(self, found.bucket, found.turn)
        return found


def look_up(
    request: HttpRequest,
    asked: Callable[[str, str], tuple[Q, str | None]],
    is_answered_by: Callable[[Q, CacheHit], bool] | None = None,
) -> LookedUp[Q]:
    """Count the request and look for its cached answer, once per request, in one round trip to Valkey, often none.

    asked() returns, for a query string and an Accept header, the question and the name under which its answer may be
    cached, or raises BadParameters, before the request is counted. is_answered_by() says whether such an answer is the
    one to this question, where several share a name. Raises AuthenticationFailed and Throttled for a key that is not
    valid.
    """
    found: LookedUp[Q] | None = request.META.get(LOOKED_UP)
    if found:
        return found
    question, name = asked(request.META["QUERY_STRING"], request.META.get("HTTP_ACCEPT", ""))
    bucket, cached, turn = bucket_of(request), None, None
    # An answer that ends a waiting request must come from the database, for the request's row must end too.
    if name and (question.market, question.timeframe) not in unanswered:
        cached, turn = lookup(question.market, name, bucket)
        note_reader()
    elif bucket:
        turn = take(bucket)
    hit = cached.hit if cached else None
    if hit and is_answered_by and not is_answered_by(question, hit):
        hit = None
    found = request.META[LOOKED_UP] = LookedUp(question, name, bucket, turn, cached, hit)
    return found


def answering_early(
    get_response: Callable[[HttpRequest], HttpResponseBase],
    path: str,
    found_of: Callable[[HttpRequest], LookedUp[Q]],
    response_of: Callable[[HttpRequest, CacheHit], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return a middleware that answers GET at a path with what found_of() has from the cache."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        is_asked = request.path == path and request.method == "GET"
        return (_ready(request, path, found_of, response_of) if is_asked else None) or get_response(request)

    return answer


def _ready(
    request: HttpRequest,
    path: str,
    found_of: Callable[[HttpRequest], LookedUp[Q]],
    response_of: Callable[[HttpRequest, CacheHit], HttpResponseBase],
) -> HttpResponseBase | None:
    """Return the cached answer as the view at a path and the middleware behind this one would leave it.

    None where the view must answer: with an error, or from the database.
    """
    try:
        if settings.REQUIRE_API_KEY and key_of(request) is None:
            return None  # a session may do
        request.get_host()
        found = found_of(request)
    except (AuthenticationFailed, BadParameters, DisallowedHost, Throttled):
        return None
    if found.hit is None or (found.turn and not found.turn.allowed):
        return None

    response = response_of(request, found.hit)
    request.resolver_match = _match(path)  # for the measured times
    for name, value in (HEADERS | headers_of(found.bucket, found.turn)).items():
        response.headers[name] = value
    response = compress(request, response)
    if isinstance(response, HttpResponse):
        response.headers.setdefault("Content-Length", str(len(response.content)))
    return response


@cache
def _match(path: str) -> ResolverMatch:
    return resolve(path)
