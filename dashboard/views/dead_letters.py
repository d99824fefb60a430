"""The page of dead letters."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, readable


@readable
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Show dead letters."""
    return page(request, "dead_letters.html", {})
