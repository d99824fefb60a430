"""The pages of gaps: the ledger, and one gap with its story."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from dashboard import gap_ledger
from dashboard.gap_story import story_of
from dashboard.pages import readable
from dashboard.refreshing import absent, refreshing

GONE = "It was filled, or it grew or shrank and is listed under another number."


@readable
def gaps(request: HttpRequest) -> HttpResponse:
    """Show the ledger of gaps."""

    def shown() -> dict[str, Any]:
        ledger = gap_ledger.ledger(request.GET)
        return {
            "found": ledger.found,
            "filters": ledger.filters,
            "counts": ledger.counts,
            "unknown": ledger.unknown,
            "states": gap_ledger.STATES.items(),
            "reasons": gap_ledger.REASONS.items(),
            "markets": [] if "part" in request.GET else gap_ledger.market_names(),
        }

    return refreshing(request, "gaps", shown)


@readable
def gap(request: HttpRequest, number: int) -> HttpResponse:
    """Show one gap."""
    found = gap_ledger.one_gap(number)
    if found is None:
        return absent(request, f"gap {number}", GONE, "/gaps")
    row, shown = found
    return refreshing(request, "gap", lambda: {"gap": shown, "events": story_of(row)})
