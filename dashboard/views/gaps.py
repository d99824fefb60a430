"""The pages of gaps: the ledger, and one gap with its story."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard import gap_ledger
from dashboard.gap_story import story_of
from dashboard.pages import readable
from dashboard.refreshing import absent, refreshing

GONE = "It was filled, or it grew or shrank and is listed under another number."


@readable
def gaps(request: HttpRequest) -> HttpResponse:
    """Show the ledger of gaps."""
    shown = gap_ledger.ledger(request.GET)
    context = {
        "found": shown.found,
        "filters": shown.filters,
        "counts": shown.counts,
        "unknown": shown.unknown,
        "states": gap_ledger.STATES.items(),
        "reasons": gap_ledger.REASONS.items(),
    }
    if "part" not in request.GET:
        context["markets"] = gap_ledger.market_names()
    return refreshing(request, "gaps", context)


@readable
def gap(request: HttpRequest, number: int) -> HttpResponse:
    """Show one gap."""
    found = gap_ledger.one_gap(number)
    if found is None:
        return absent(request, f"gap {number}", GONE, "/gaps")
    row, shown = found
    return refreshing(request, "gap", {"gap": shown, "events": story_of(row)})
