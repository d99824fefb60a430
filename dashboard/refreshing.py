"""Pages whose main part refreshes itself: the same view answers the page, and with `part` in its address the part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, part
from dashboard.paging import question


def refreshing(request: HttpRequest, name: str, context: Mapping[str, Any]) -> HttpResponse:
    """Return <name>_part.html, or the whole <name>.html that includes it and asks for it again at `part_url`."""
    if "part" in request.GET:
        return part(request, f"{name}_part.html", context)
    return page(request, f"{name}.html", {"part_url": request.path + question(request.GET, part=1), **context})


def absent(request: HttpRequest, what: str, why: str, back: str) -> HttpResponse:
    """Return that something is not there: 404, or as a part, in place of what was shown until it went."""
    context = {"what": what, "why": why, "back": back}
    if "part" in request.GET:
        return part(request, "absent_part.html", context)
    return page(request, "absent.html", context, status=404)
