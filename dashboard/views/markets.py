"""The page of the markets: one row each, and the card above them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from config.monitoring.health import provider_identity
from dashboard.alerts import Level, open_alerts
from dashboard.board import SPARK_HEIGHT, SPARK_WIDTH, board
from dashboard.pages import page, part, readable, shared_part
from datastore.api.views.follow import to_tickers
from datastore.models import Market, Pair

MAX_PAIRS = 30
MIN_SEARCH = 2  # characters


@readable
def markets(request: HttpRequest) -> HttpResponse:
    """Show the followed markets; if it is asked for, a part alone: stream, card, rows, or a search's pairs."""
    wanted = request.GET.get("part")
    if wanted == "stream":
        return to_tickers(request, "/?part=stream", parts="markets")
    if wanted == "pairs":
        return part(request, "markets_pairs.html", pairs(request.GET.get("q", "")))
    if wanted in ("summary", "rows"):
        return shared_part(request, f"markets_{wanted}.html", "", shown)
    return page(request, "markets.html", shown())


def shown() -> dict[str, Any]:
    """Return what the page and its parts show."""
    return {
        "board": board(),
        "spark_width": SPARK_WIDTH,
        "spark_height": SPARK_HEIGHT,
        "providers": ", ".join(settings.PROVIDERS),
        **in_error(),
        **provider_identity(),
    }


def in_error() -> dict[str, int]:
    """Return how many alerts need a person, and how many are worth a look."""
    found = open_alerts()
    return {
        "errors": sum(alert.level == Level.ERROR for alert in found),
        "warnings": sum(alert.level == Level.WARNING for alert in found),
    }


def pairs(text: str) -> dict[str, Any]:
    """Return the pairs in the providers' lists whose names hold the text in any spelling, those not followed yet."""
    joined = "".join(letter for letter in text.upper() if letter.isalnum())[:40]
    if len(joined) < MIN_SEARCH:
        return {"pairs": [], "more": 0, "text": text}
    followed = Market.objects.filter(followed=True).values("symbol")
    named = Q(joined__contains=joined) | Q(symbol__icontains=text.strip()[:40])
    found = Pair.objects.filter(named, active=True).exclude(symbol__in=followed).order_by("symbol")
    return {"pairs": found[:MAX_PAIRS], "more": max(found.count() - MAX_PAIRS, 0), "text": text}
