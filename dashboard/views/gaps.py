"""The page of gaps."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def gaps(request: HttpRequest) -> HttpResponse:
    """Show gaps."""
    return page(request, "gaps.html", {})
