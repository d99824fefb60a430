"""The page at `/`: what runs here and where to go on."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.monitoring.health import provider_identity


def home_page(request: HttpRequest) -> HttpResponse:
    """Show the addresses worth knowing, and whose prices these are."""
    return render(
        request, "front.html", {"version": settings.VERSION, "markets": settings.MARKETS, **provider_identity()}
    )
