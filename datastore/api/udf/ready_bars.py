"""The newest bars, answered from the cache before sessions and views are looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from datastore.api.early_answer import answering_early, look_up
from datastore.api.responses.json_response import ready_answer, unless_known
from datastore.api.responses.response_cache import CacheHit
from datastore.api.udf.query import HistoryQuestion, history_question, instant
from datastore.timeframes.intervals import moment
from datastore.timeframes.timeframe import TIMEFRAMES
from metering.table import count_answer

PATH = "/udf/history"
COMPLETE = "Candlekeep-Complete"
_TIMES = re.compile(r"(^|&)(from|to)=-?[0-9]{1,10}(?=&|$)")
_TO = re.compile(r"(?:^|&)to=(-?[0-9]{1,10})(?=&|$)")


def ready_bars(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the middleware."""
    return answering_early(get_response, PATH, look_up_bars, ready_bars_response)


def ready_bars_response(request: HttpRequest, hit: CacheHit) -> HttpResponseBase:
    """Return cached bars; 304 if the reader has them already."""
    count_answer("ready")
    kept = hit.kept
    if "HTTP_IF_NONE_MATCH" in request.META and (known := unless_known(request, kept.etag)):
        return known
    return ready_answer(kept.parts.before, {"ETag": kept.etag, COMPLETE: kept.parts.after.decode()})


def is_newest(question: HistoryQuestion, now: int) -> bool:
    """Return whether the open bucket at `now` (ms) is the newest that is asked for, or one to come is."""
    return TIMEFRAMES[question.timeframe].floor(moment(now * 1000)) < question.stop


def _asked(query: str, _: str) -> tuple[HistoryQuestion, str | None]:
    """Return what a query string of /history asks for, and its name if it is for the newest bars. Raises BadParameters.

    Charts that poll differ in their times alone: those are read by themselves, the rest once.
    """
    if "countback=" not in query:
        return _parsed(query)
    (question, name), stop = _parsed(_TIMES.sub(r"\1\2=0", query)), _TO.search(query)
    return question if stop is None else replace(question, stop=instant(int(stop[1]))), name


@lru_cache(maxsize=1024)
def _parsed(query: str) -> tuple[HistoryQuestion, str | None]:
    """Return the same of a query string whose times are of no account where it counts its bars."""
    question = history_question(dict(QueryDict(query).lists()))
    return question, None if question.count is None else f"udf:{question.timeframe}:{question.count}"


look_up_bars = partial(look_up, asked=_asked, is_answered_by=lambda question, hit: is_newest(question, hit.now))
