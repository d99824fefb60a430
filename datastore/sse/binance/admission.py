"""Who may open a connection: by Host, Origin, key and rate; no ticket and no redirect comes before it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import AuthenticationFailed, Throttled
from starlette.requests import HTTPConnection

from datastore.access.rate_limits import take
from datastore.api.auth.api_key_header import key_of
from datastore.api.auth.permissions import TO_READ
from datastore.api.auth.throttle import bucket_of
from datastore.api.binance.errors import BAD_KEY, BEGINNINGS, TOO_MANY, UNKNOWN, Refused
from datastore.api.responses.problem import REFUSED_HOST

KEY_PARAMETER = "apiKey"  # for clients that cannot send a header
DEFAULT_PORTS = {"http": 80, "https": 443}


def admit(connection: HTTPConnection) -> str | None:
    """Return the prefix of the key that was sent, None without one. Raises Refused. Asks the cache and the database."""
    request = HttpRequest()
    request.META = meta_of(connection)
    try:
        holder, bucket = key_of(request), bucket_of(request)
    except AuthenticationFailed as exc:
        raise Refused(BAD_KEY, f"{BEGINNINGS[BAD_KEY]}{exc.detail}", 401) from None
    except Throttled as exc:
        raise _too_many(getattr(exc, "wait", None) or 1) from None
    turn = take(bucket) if bucket else None
    if turn is not None and not turn.allowed:
        raise _too_many(turn.wait)
    if settings.REQUIRE_API_KEY and holder is None:
        raise Refused(BAD_KEY, f"{BEGINNINGS[BAD_KEY]}{TO_READ} Here also as ?{KEY_PARAMETER}=ck_…", 401)
    return None if holder is None else holder.prefix


def check_source(headers: Mapping[str, str]) -> None:
    """Refuse a Host that is none of this server's names, and pages of other origins that may not read. Raises Refused.

    A browser lets every page open a WebSocket to every server: only the server can tell.
    """
    host, port = split_domain_port(headers.get("host", ""))
    if not host or not validate_host(host, settings.ALLOWED_HOSTS):
        raise Refused(UNKNOWN, REFUSED_HOST, 400)
    origin = headers.get("origin")
    if origin is None or settings.CORS_ALLOW_ALL_ORIGINS or origin in settings.CORS_ALLOWED_ORIGINS:
        return
    page = urlsplit(origin)
    own_ports = {settings.PORT, settings.SSE_PORT, int(port) if port else DEFAULT_PORTS.get(page.scheme)}
    is_own = f"[{page.hostname}]" == host if ":" in (page.hostname or "") else page.hostname == host
    if not (origin == settings.PUBLIC_URL or (is_own and _port(origin) in own_ports)):
        raise Refused(UNKNOWN, "Pages of this origin may not read here: CORS_ORIGINS lists those that may.", 403)


def meta_of(connection: HTTPConnection) -> dict[str, str]:
    """Return what Django knows of a request that came with these headers."""
    meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in connection.headers.items()}
    meta["REMOTE_ADDR"] = connection.client.host if connection.client else ""
    if KEY_PARAMETER in connection.query_params:
        meta["HTTP_X_API_KEY"] = connection.query_params[KEY_PARAMETER]
    return meta


def _port(origin: str) -> int | None:
    page = urlsplit(origin)
    try:
        return page.port or DEFAULT_PORTS.get(page.scheme)
    except ValueError:
        return None


def _too_many(wait: float) -> Refused:
    seconds = max(round(wait), 1)
    headers = {"Retry-After": str(seconds)}
    return Refused(TOO_MANY, f"Too many requests: ask again in {seconds} s.", 429, headers)
