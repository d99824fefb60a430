"""Every address under /api/ that leads nowhere."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.errors import NotFound, shown

ADDRESSES = ("candles", "coverage", "trades", "markets", "markets/{m}", "actors", "actors/{kind}/{name}")


class Nowhere(APIView):
    """Answer any method with 404 as problem+json."""

    def dispatch_any(self, request: Request, path: str = "") -> HttpResponse:
        """Raise NotFound with what there is."""
        raise NotFound(
            f"There is nothing at {shown(request.path)}. See /api/v1/markets, candles, trades, coverage, actors."
        )

    get = post = put = patch = delete = options = head = dispatch_any
