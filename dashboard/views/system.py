"""The page of system."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def system(request: HttpRequest) -> HttpResponse:
    """Show system."""
    return page(request, "system.html", {})
