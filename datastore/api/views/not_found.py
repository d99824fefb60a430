"""Every address under /api/ that leads nowhere."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.errors import NotFound, shown

ADDRESSES = (
    "candles",
    "candles/stream",
    "coverage",
    "trades",
    "tickers",
    "markets",
    "markets/{m}",
    "requests/{id}",
    "backfill",
    "streams",
    "streams/{id}",
    "streams/{id}/events",
    "dead-letters",
    "dead-letters/{id}",
    "dead-letters/{id}/replay",
    "actors",
    "actors/{kind}/{name}",
    "schema",
    "docs",
)
# Designed, and not served yet: whoever knows the design is told so.
LATER = ("reconciliation", "digests", "udf", "binance")


class NotFoundView(APIView):
    """Answer any method with 404 as problem+json."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound with what there is, before the method is looked at."""
        asked = request.path.removeprefix("/api/v1/").strip("/")
        if any(asked == name or asked.startswith(f"{name}/") for name in LATER):
            raise NotFound(f"{shown(request.path)} is not available yet. There are: {', '.join(ADDRESSES)}.")
        raise NotFound(f"There is nothing at {shown(request.path)}. There are: {', '.join(ADDRESSES)}.")
