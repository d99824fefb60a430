"""What every page has: who may see it, what its frame shows, and which streams its browser may follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from cachetools import LRUCache
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.gzip import gzip_page
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from actor_runtime.reset_policy import reason_of
from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.health import provider_identity
from dashboard.alerts import summary
from datastore.access.shared_cache import SharedCache
from datastore.access.stream_tickets import stream_server
from datastore.api.auth.permissions import is_staff, may_read

# The pages of the menu, in order: address, word, and the key that opens it after `g`.
MENU = (
    ("/", "Markets", "m"),
    ("/actors", "Actors", "a"),
    ("/streams", "Streams", "s"),
    ("/gaps", "Gaps", "g"),
    ("/requests", "Requests", "r"),
    ("/dead-letters", "Dead letters", "d"),
    ("/system", "System", "y"),
    ("/alerts", "Alerts", "l"),
)

View = Callable[..., HttpResponse]
SHARED_TIMES = 3.0  # times as long as other cached answers: two hundred open pages ask for the same
MAX_SHARED = 500  # parts
_shared: SharedCache[tuple[str, str, bool], CachedAnswer[str]] = SharedCache(LRUCache(MAX_SHARED))


def readable(view: View) -> View:
    """Let only those see a page who may read the API; others sign in first. Without a database or cache say so."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            if may_read(request):
                return view(request, *args, **kwargs)
        except (DatabaseError, RedisError, ConnectionInterrupted) as exc:
            server = "database" if isinstance(exc, DatabaseError) else "cache"
            context = {"server": server, "reason": reason_of(exc)}
            return render(request, "dashboard/unavailable.html", context, status=503)
        if request.headers.get("HX-Request"):
            return HttpResponse(status=403, headers={"HX-Refresh": "true"})
        return HttpResponseRedirect(f"/sign-in?{urlencode({'next': request.get_full_path()})}")

    compressed: View = gzip_page(guarded)  # what is secret in a page is its CSRF token, masked differently each time
    return compressed


def page(request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """Return a page in its frame. Its browser may follow our streams, wherever they are served."""
    shown = frame(request)
    if shown["is_staff"]:
        get_token(request)  # sets the cookie that scripts send back where they write
    response = render(request, f"dashboard/{template}", {**shown, **context}, status=status)
    streams = urlsplit(stream_server(str(request.scheme), request.get_host()))
    response._csp_update = {"connect-src": [f"{streams.scheme}://{streams.netloc}"]}  # type: ignore[attr-defined]
    response.headers["Cache-Control"] = "no-cache"
    return response


def part(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Return a part of a page that refreshes itself."""
    return _as_part(render(request, f"dashboard/{template}", {"is_staff": is_staff(request), **context}))


def shared_part(
    request: HttpRequest,
    template: str,
    subject: str,
    read: Callable[[], Mapping[str, Any]],
    times: float = SHARED_TIMES,
) -> HttpResponse:
    """Return a part that looks alike to all who may see it, written once for all of them for some time.

    subject: what of the template's kind it shows; read: returns what the template needs, and may raise; times: how many
    times as long as other cached answers it lasts.
    """
    staff = is_staff(request)
    key = template, subject, staff
    text = _shared.get(key)
    if text is None:
        text = CachedAnswer(
            lambda: render_to_string(f"dashboard/{template}", {"is_staff": staff, **read()}), times=times
        )
        _shared.put(key, text)
    return _as_part(HttpResponse(text.get()))


def _as_part(response: HttpResponse) -> HttpResponse:
    """Return it with what the frame around it shows: how many alerts there are, and the level of the worst."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Candlekeep-Alerts"] = "{} {}".format(*summary())
    return response


def frame(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame around each page shows."""
    here = request.path
    menu = [
        {"url": url, "word": word, "key": key, "here": here == url or (url != "/" and here.startswith(f"{url}/"))}
        for url, word, key in MENU
    ]
    alerts, worst = summary()
    return {
        "menu": menu,
        "version": settings.VERSION,
        "debug": settings.DEBUG,
        "is_staff": is_staff(request),
        "user_name": request.user.get_username() if request.user.is_authenticated else "",
        "alerts": alerts,
        "worst": worst,
        **provider_identity(),
    }
