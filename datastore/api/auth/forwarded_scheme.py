"""By which scheme a request came: behind TLS only the proxy knows, and says so in X-Forwarded-Proto."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from datastore.api.auth.client_address import comes_from_proxy
from datastore.api.errors import UnclearScheme

HEADER = "HTTP_X_FORWARDED_PROTO"
SILENT_PROXY = (
    "The proxy in front of this server does not say by which scheme it was asked: let it set X-Forwarded-Proto "
    "(deploy/ has examples)."
)
UNKNOWN_PROXY = "This request says that it came by https, but not from a proxy that TRUSTED_PROXIES lists."


def forwarded_scheme(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the middleware: it removes X-Forwarded-Proto unless a proxy sent it. Raises UnclearScheme."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not settings.BEHIND_TLS:
            return get_response(request)  # nothing reads the header
        said, believed = HEADER in request.META, comes_from_proxy(request)
        if said is not believed and _is_for_the_public_address(request):
            raise UnclearScheme(SILENT_PROXY if believed else UNKNOWN_PROXY)
        if not believed:
            request.META.pop(HEADER, None)
        return get_response(request)

    return middleware


def _is_for_the_public_address(request: HttpRequest) -> bool:
    """Return whether a request names the public host; health checks and scrapes need no scheme."""
    host = re.sub(r":[0-9]+$", "", request.META.get("HTTP_HOST", "")).lower()
    exempt = any(re.search(pattern, request.path.lstrip("/")) for pattern in settings.SECURE_REDIRECT_EXEMPT)
    return host == settings.PUBLIC_HOST and not exempt
