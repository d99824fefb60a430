"""What is refused, in the library's shape: `{"s": "error", "errmsg": why}` with the status of the API's problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse

from datastore.api.responses.problem import exception_handler, other_shape, told_by


def udf_refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a refusal; the library shows its sentence."""
    return other_shape({"s": "error", "errmsg": sentence}, status, headers)


def udf_exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn what a view raised into a refusal."""
    problem = exception_handler(exc, context)
    return udf_refusal(problem.status_code, *told_by(problem))
