"""The page of actors."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def actors(request: HttpRequest) -> HttpResponse:
    """Show actors."""
    return page(request, "actors.html", {})
