"""The page of one market."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def chart(request: HttpRequest, symbol: str) -> HttpResponse:
    """Show one market."""
    return page(request, "chart.html", {"symbol": symbol})
