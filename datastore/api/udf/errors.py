"""What is refused, in the library's shape: `{"s": "error", "errmsg": why}` with the status of the API's problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django.http import HttpResponse

from datastore.api.responses.problem import exception_handler

OWN_HEADERS = ("Cache-Control", "Retry-After", "WWW-Authenticate")


def udf_refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a refusal; the library shows its sentence."""
    body = msgspec.json.encode({"s": "error", "errmsg": sentence})
    head = {"Cache-Control": "no-store", **(headers or {})}
    return HttpResponse(body, status=status, content_type="application/json", headers=head)


def udf_exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn what a view raised into a refusal."""
    return reshaped(exception_handler(exc, context))


def reshaped(problem: HttpResponse) -> HttpResponse:
    """Return a problem document as a refusal."""
    headers = {name: problem.headers[name] for name in OWN_HEADERS if name in problem.headers}
    return udf_refusal(problem.status_code, msgspec.json.decode(problem.content)["detail"], headers)
