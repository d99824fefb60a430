"""The newest bars, answered from the cache before sessions and views are looked at, as ready_candles does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from datastore.access.rate_limits import Bucket, RateLimitResult
from datastore.api.ready_candles import answering_early, counted
from datastore.api.responses.json_response import ready_answer, unless_known
from datastore.api.responses.response_cache import CacheHit, CacheLookup
from datastore.api.udf.query import HistoryQuestion, history_question, instant
from datastore.timeframes.intervals import moment
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import count_answer

PATH = "/udf/history"
LOOKED_UP = "candlekeep.looked-up-bars"  # in request.META: no header can be spelled so
COMPLETE = "Candlekeep-Complete"
_TIMES = re.compile(r"(^|&)(from|to)=-?[0-9]{1,10}(?=&|$)")
_TO = re.compile(r"(?:^|&)to=(-?[0-9]{1,10})(?=&|$)")


class _Asked(NamedTuple):
    question: HistoryQuestion
    name: str | None  # under which the answer may be cached, if the question is for the newest bars


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A question, what is cached for it, the cached answer if it may be given, and the turn that was taken."""

    question: HistoryQuestion
    name: str | None
    bucket: Bucket | None
    turn: RateLimitResult | None
    cached: CacheLookup | None
    hit: CacheHit | None


def ready_bars(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the middleware."""
    return answering_early(get_response, PATH, look_up, ready_bars_response)


def ready_bars_response(request: HttpRequest, hit: CacheHit) -> HttpResponseBase:
    """Return cached bars; 304 if the reader has them already."""
    count_answer("ready")
    kept = hit.kept
    if "HTTP_IF_NONE_MATCH" in request.META and (known := unless_known(request, kept.etag)):
        return known
    return ready_answer(kept.parts.before, {"ETag": kept.etag, COMPLETE: kept.parts.after.decode()})


def look_up(request: HttpRequest) -> LookedUp:
    """Count the request and look for its cached answer, once per request.

    Raises BadParameters before it is counted; AuthenticationFailed and Throttled for a key that is not valid.
    """
    found: LookedUp | None = request.META.get(LOOKED_UP)
    if found:
        return found
    question, name = _asked(request.META["QUERY_STRING"])
    bucket, turn, cached = counted(request, question.market, question.timeframe, name)
    hit = cached.hit if cached and cached.hit and is_newest(question, cached.hit.now) else None
    found = request.META[LOOKED_UP] = LookedUp(question, name, bucket, turn, cached, hit)
    return found


def is_newest(question: HistoryQuestion, now: int) -> bool:
    """Return whether the open bucket at `now` (ms) is the newest that is asked for, or one to come is."""
    return TIMEFRAMES[question.timeframe].floor(moment(now * 1000)) < question.stop


def _asked(query: str) -> _Asked:
    """Return what a query string of /history asks for. Raises BadParameters.

    Charts that poll differ in their times alone: those are read by themselves, the rest once.
    """
    if "countback=" not in query:
        return _parsed(query)
    asked, stop = _parsed(_TIMES.sub(r"\1\2=0", query)), _TO.search(query)
    return asked if stop is None else asked._replace(question=replace(asked.question, stop=instant(int(stop[1]))))


@lru_cache(maxsize=1024)
def _parsed(query: str) -> _Asked:
    """Return what a query string of /history asks for. Raises BadParameters."""
    question = history_question(dict(QueryDict(query).lists()))
    return _Asked(question, None if question.count is None else f"udf:{question.timeframe}:{question.count}")
