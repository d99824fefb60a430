"""The API key that comes with a request."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed, Throttled

from datastore.access.api_keys import KeyHolder, holder_of
from datastore.access.rate_limits import Bucket, take
from datastore.api.auth.client_address import address_of

KEY = "candlekeep.key"  # in request.META: no header can be spelled so
NOT_A_KEY = "This API key is malformed, unknown or revoked. `manage.py create_api_key NAME` makes a new one."


def key_of(request: HttpRequest) -> KeyHolder | None:
    """Return whose key is sent, None where none is. X-API-Key goes first: a proxy may want Authorization for itself.

    Raises AuthenticationFailed for a key that is not valid, Throttled where an address sends too many new ones.
    """
    if KEY not in request.META:
        text = _sent(request)
        request.META[KEY] = None if text is None else _recognised(request, text)
    found: KeyHolder | None = request.META[KEY]
    return found


def _sent(request: HttpRequest) -> str | None:
    own: str | None = request.META.get("HTTP_X_API_KEY")
    if own is not None:
        return own.strip()
    scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def _recognised(request: HttpRequest, text: str) -> KeyHolder:
    holder = holder_of(text, before_asking=lambda: _limit_look_ups(request))
    if holder is None:
        raise AuthenticationFailed(NOT_A_KEY)
    return holder


def _limit_look_ups(request: HttpRequest) -> None:
    """Let an address have only so many keys looked up: inventing them must not become the database's work."""
    limit = settings.RATE_LIMIT_PER_ADDRESS
    turn = take(Bucket(f"look-up:{address_of(request)}", limit)) if limit else None
    if turn is not None and not turn.allowed:
        raise Throttled(turn.wait)
