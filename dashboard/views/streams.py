"""The page of streams."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def streams(request: HttpRequest) -> HttpResponse:
    """Show streams."""
    return page(request, "streams.html", {})
