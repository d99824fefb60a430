"""The page at `/`: what runs here, and links to the rest."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.monitoring.health import provider_identity


def home_page(request: HttpRequest) -> HttpResponse:
    """Show the useful addresses and the provider."""
    context = {"version": settings.VERSION, "markets": settings.MARKETS, **provider_identity()}
    return render(request, "home_page.html", context)
