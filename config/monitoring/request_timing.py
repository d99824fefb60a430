"""How long requests take, by route, method and status class (2xx …)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from time import perf_counter

from django.http import HttpRequest, HttpResponseBase
from prometheus_client import Histogram

from metering.table import HTTP_SECONDS

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def request_timing(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the middleware; for a streamed answer it measures the time to its first byte."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        response = get_response(request)
        match = request.resolver_match
        method = request.method if request.method in METHODS else "other"
        times = _times(match.route if match else None, str(method), response.status_code // 100)
        times.observe(perf_counter() - began)
        return response

    return answer


@cache  # no larger than the number of routes
def _times(route: str | None, method: str, status: int) -> Histogram:
    return HTTP_SECONDS.labels(route_label(route), method, f"{status}xx")


def route_label(route: str | None) -> str:
    """Return a route's metric label: the admin's hundred routes share one, and so does every unknown address."""
    if route is None or route.endswith(r"[\s\S]*$"):
        return "unmatched"
    plain = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", route).replace("^", "").removesuffix("$")
    return "/admin" if plain.startswith("admin/") else f"/{plain}"
