from __future__ import annotations

import json
import logging

import pytest
from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from django.test import RequestFactory
from rest_framework.exceptions import MethodNotAllowed, PermissionDenied

from datastore.api.errors import BadParameters, Conflict, NotFound, UnknownMarket
from datastore.api.responses import problem

REQUEST = RequestFactory().get("/api/v1/candles")


def answered(exc: Exception) -> tuple[HttpResponse, dict[str, object]]:
    response = problem.exception_handler(exc, {"request": REQUEST})
    body = json.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert body["status"] == response.status_code
    return response, body


@pytest.mark.parametrize(
    ("exc", "status", "kind"),
    [
        (BadParameters({"limit": ["is empty."]}), 400, "bad-parameter"),
        (UnknownMarket("x"), 404, "unknown-market"),
        (NotFound("no"), 404, "not-found"),
        (Conflict("no"), 409, "conflict"),
        (Http404(), 404, "not-found"),
        (DisallowedHost("evil"), 400, "bad-request"),
        (MethodNotAllowed("PUT"), 405, "method-not-allowed"),
        (PermissionDenied(), 403, "forbidden"),
    ],
)
def test_each_trouble_has_its_status_and_kind(exc: Exception, status: int, kind: str) -> None:
    response, body = answered(exc)
    assert response.status_code == status
    assert body["type"] == f"urn:candlekeep:problem:{kind}"
    assert body["detail"]


def test_bad_parameters_are_named_in_the_detail_and_in_errors() -> None:
    _, body = answered(BadParameters({"limit": ["'x' is no number."], "to": ["is empty."]}))
    assert body["errors"] == {"limit": ["'x' is no number."], "to": ["is empty."]}
    assert body["detail"] == "limit: 'x' is no number. to: is empty."


@pytest.mark.parametrize("exc", [OperationalError("connection refused"), InterfaceError("closed")])
def test_a_database_that_is_away_is_503_with_retry_after(exc: Exception) -> None:
    response, body = answered(exc)
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert "refused" not in str(body)


def test_an_unforeseen_failure_is_a_bare_500_and_a_whole_log_entry(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response, body = answered(ZeroDivisionError("secret detail"))
    assert response.status_code == 500
    assert "secret" not in str(body)
    assert "secret detail" in caplog.text


def test_what_is_refused_before_any_view_is_a_problem_under_api_and_a_page_elsewhere() -> None:
    ours = problem.bad_request(REQUEST, DisallowedHost("evil"))
    assert ours["Content-Type"] == "application/problem+json"
    theirs = problem.bad_request(RequestFactory().get("/admin/"), DisallowedHost("evil"))
    assert b"ALLOWED_HOSTS" in ours.content and b"ALLOWED_HOSTS" in theirs.content
    assert b"ALLOWED_HOSTS" not in problem.bad_request(REQUEST, SuspiciousOperation("evil")).content
    assert theirs["Content-Type"].startswith("text/html")
    assert problem.server_error(REQUEST)["Content-Type"] == "application/problem+json"
    assert problem.server_error(RequestFactory().get("/admin/"))["Content-Type"].startswith("text/html")
