"""A line in the log for all that is done with a key or a session."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.permissions import SAFE_METHODS

from datastore.api.auth.permissions import ASKER

log = structlog.get_logger(__name__)


class AuditLog:
    """Middleware: tells of each write through the API who asked for it and what came of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, then tell. The path alone: a query or body may hold what a log must not."""
        response = self._get_response(request)
        by = request.META.get(ASKER)
        if by is not None and request.method not in SAFE_METHODS:
            log.info("write", by=by, method=request.method, path=request.path, status=response.status_code)
        return response
