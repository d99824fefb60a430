"""The one shape of every error under /api/: application/problem+json (RFC 9457), never HTML, never a stack trace."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework.exceptions import APIException, Throttled

from actor_runtime.reset_policy import DATABASE_AWAY
from datastore.api.errors import BadRequest, NotFound, Problem, UnclearScheme
from datastore.backfill.quota import BudgetSpent, time_until_reset
from streaming.errors import StreamUnavailable

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
KEPT_HEADERS = ("Cache-Control", "Retry-After", "WWW-Authenticate")  # in the shape of another interface too
MACHINE_PREFIXES = ("/api/", "/udf/", "/binance/")  # addresses that programs read, not people
REFUSED_HOST = (
    "The Host of this request is none of the names of this server: its settings PUBLIC_URL and ALLOWED_HOSTS list them."
)
log = structlog.get_logger(__name__)


def problem_response(
    status: int,
    detail: str,
    *,
    kind: str = "",
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return {type, title, status, detail, errors}; kind defaults to the name of the status."""
    title = HTTPStatus(status).phrase
    body = {
        "type": f"urn:candlekeep:problem:{kind or title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": errors or {},
    }
    head = {"Cache-Control": "no-store", **(headers or {})}
    return HttpResponse(msgspec.json.encode(body), status=status, content_type=CONTENT_TYPE, headers=head)


def other_shape(body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a refusal as another interface writes it."""
    head = {"Cache-Control": "no-store", **(headers or {})}
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json", headers=head)


def told_by(problem: HttpResponse) -> tuple[str, dict[str, str]]:
    """Return the sentence of a problem, and the headers that belong to it in any shape."""
    headers = {name: problem.headers[name] for name in KEPT_HEADERS if name in problem.headers}
    return msgspec.json.decode(problem.content)["detail"], headers


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn what a view raised into its problem; an unexpected exception is logged whole and answered as a bare 500."""
    if isinstance(exc, Problem):
        wait = {"Retry-After": str(exc.retry_after)} if exc.retry_after else {}
        return problem_response(exc.status, exc.detail, kind=exc.kind, errors=exc.errors, headers=wait)
    if isinstance(exc, APIException):
        return _refusal(exc)
    if isinstance(exc, BudgetSpent):
        wait = {"Retry-After": str(math.ceil(time_until_reset().total_seconds()))}
        return problem_response(429, f"Nothing was asked for: {exc}.", kind="budget-spent", headers=wait)
    if isinstance(exc, Http404):
        return problem_response(404, "There is nothing at this address.", kind=NotFound.kind)
    if isinstance(exc, SuspiciousOperation):
        return problem_response(400, _refused_form(exc), kind=BadRequest.kind)
    if isinstance(exc, DATABASE_AWAY):
        return unavailable("database", "database", exc)
    if isinstance(exc, StreamUnavailable):
        return unavailable("stream", "stream of records", exc)
    log.error("request failed", path=context["request"].path, exc_info=exc)
    return problem_response(500, "Candlekeep made a mistake; its log says which.")


def _refusal(exc: APIException) -> HttpResponse:
    """Return what Django REST framework raised: with how to authenticate (401) or when to ask again (429)."""
    if isinstance(exc, Throttled):
        wait = max(getattr(exc, "wait", None) or 0, 1)  # whole seconds
        sentence = f"Too many requests: ask again in {wait} s. The RateLimit headers show how many may come."
        return problem_response(exc.status_code, sentence, headers={"Retry-After": str(wait)})
    sentence = exc.detail if isinstance(exc.detail, str) else "The request cannot be read."
    challenge = getattr(exc, "auth_header", None)
    return problem_response(
        exc.status_code, str(sentence), headers={"WWW-Authenticate": challenge} if challenge else {}
    )


def unavailable(part: str, name: str, exc: Exception) -> HttpResponse:
    """Return 503 with Retry-After: the request is fine, but a part of the platform is away."""
    log.warning(f"{part} away", reason=str(exc).partition("\n")[0])
    return problem_response(
        503,
        f"The {name} does not answer right now. Ask again soon.",
        kind=f"{part}-away",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refuses before any view sees it (an unknown Host); for urls.handler400."""
    sentence = _refused_form(exception)
    if request.path_info.startswith(MACHINE_PREFIXES):
        return problem_response(400, sentence, kind=BadRequest.kind)
    page = f"<!doctype html><title>Bad Request</title><h1>Bad Request (400)</h1><p>{sentence}</p>"
    return HttpResponse(page, status=400)


def _refused_form(exception: Exception) -> str:
    if isinstance(exception, DisallowedHost):
        return REFUSED_HOST
    if isinstance(exception, UnclearScheme):
        return str(exception)
    return "The request cannot be read."


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a failure outside the API's views: 503 if the database is away, else 500; for urls.handler500."""
    # Pages, logins and sessions need the database too, and are no more to blame than a question of the API.
    exc = sys.exception()
    if isinstance(exc, DATABASE_AWAY):
        answer = unavailable("database", "database", exc)
        if request.path_info.startswith(MACHINE_PREFIXES):
            return answer
        # A person gets the problem as a sentence, with its status and when to ask again.
        detail = msgspec.json.decode(answer.content)["detail"]
        head = {name: answer[name] for name in ("Cache-Control", "Retry-After")}
        return HttpResponse(detail, status=answer.status_code, content_type="text/plain; charset=utf-8", headers=head)
    if request.path_info.startswith(MACHINE_PREFIXES):
        return problem_response(500, "Candlekeep made a mistake; its log says which.")
    return defaults.server_error(request)
