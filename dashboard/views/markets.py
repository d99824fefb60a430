"""The page of the markets."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def markets(request: HttpRequest) -> HttpResponse:
    """Show the markets."""
    return page(request, "markets.html", {})
