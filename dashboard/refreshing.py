"""Pages whose main part refreshes itself: the same view answers the page, and with `part` in its address the part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from dashboard.pages import page, part, shared_part
from dashboard.paging import question
from datastore.api.auth.permissions import is_staff


def refreshing(request: HttpRequest, name: str, read: Callable[[], Mapping[str, Any]]) -> HttpResponse:
    """Return <name>_part.html, or the whole <name>.html that includes it and asks for it again at `part_url`.

    read: returns what they show. A part that nobody has filtered is written once a second for all readers; staff, who
    change things, see what is so now.
    """
    if "part" not in request.GET:
        return page(request, f"{name}.html", {"part_url": request.path + question(request.GET, part=1), **read()})
    if len(request.GET) > 1 or is_staff(request):
        return part(request, f"{name}_part.html", read())
    return shared_part(request, f"{name}_part.html", f"{request.get_host()}{request.path}", read, times=1.0)


def absent(request: HttpRequest, what: str, why: str, back: str) -> HttpResponse:
    """Return that something is not there: 404, or as a part, in place of what was shown until it went."""
    context = {"what": what, "why": why, "back": back}
    if "part" in request.GET:
        return part(request, "absent_part.html", context)
    return page(request, "absent.html", context, status=404)
