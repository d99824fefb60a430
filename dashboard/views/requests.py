"""The page of requests."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def requests(request: HttpRequest) -> HttpResponse:
    """Show requests."""
    return page(request, "requests.html", {})
