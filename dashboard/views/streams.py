"""The pages of streams: all of them, and one with the timeline of its steps."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dashboard import stream_list
from dashboard.pages import part, readable
from dashboard.refreshing import absent, refreshing
from datastore.models import Stream
from datastore.streams.lifecycle import count_by_state
from datastore.timeframes.timeframe import TIMEFRAMES


@readable
def streams(request: HttpRequest) -> HttpResponse:
    """Show streams and the topics made for them."""

    def shown() -> dict[str, Any]:
        found, filters = stream_list.streams_asked(request.GET)
        counts = count_by_state()
        return {
            "found": found,
            "filters": filters,
            "states": [(state.value, counts[state.value]) for state in Stream.State],
            "topics": stream_list.open_topics(),
            "followers": stream_list.followers(),
            "max_streams": settings.MAX_STREAMS,
            "lease": settings.STREAM_LEASE,
            "timeframes": list(TIMEFRAMES),
        }

    return refreshing(request, "streams", shown)


@readable
def stream(request: HttpRequest, number: int) -> HttpResponse:
    """Show one stream."""
    row = stream_list.one_stream(number)
    if row is None:
        return absent(request, f"stream {number}", "One that ended is kept for 30 days.", "/streams")
    return refreshing(request, "stream", lambda: {"row": row, "host": request.get_host()})


@readable
def suggestions(request: HttpRequest) -> HttpResponse:
    """Return the options of the market field."""
    return part(request, "options.html", {"options": stream_list.suggested(request.GET.get("market", ""))})
