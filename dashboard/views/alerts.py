"""The page of alerts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def alerts(request: HttpRequest) -> HttpResponse:
    """Show alerts."""
    return page(request, "alerts.html", {})
