"""The API key that comes with a request."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed, Throttled

from datastore.access.api_keys import KEY_BEGINNING, KeyHolder, holder_of
from datastore.access.rate_limits import bucket_for, take
from datastore.api.auth.client_address import client_address

KEY = "candlekeep.key"  # in request.META: no header can be spelled so
BINANCE_KEY = "HTTP_X_MBX_APIKEY"
NOT_A_KEY = "This API key is malformed, unknown or revoked. `manage.py create_api_key NAME` makes a new one."


def key_of(request: HttpRequest) -> KeyHolder | None:
    """Return the holder of the key that is sent, None if there is none.

    X-API-Key goes before Authorization, which a proxy may want for itself. Clients of Binance send X-MBX-APIKEY: a key
    that Binance made is ignored. Raises AuthenticationFailed for a key that is not valid, Throttled if an address sends
    too many new ones.
    """
    if KEY not in request.META:
        text = request.META.get("HTTP_X_API_KEY")
        if text is None and (sent := request.META.get(BINANCE_KEY, "")).startswith(KEY_BEGINNING):
            text = sent
        if text is None:
            scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
            text = token if scheme.lower() == "bearer" else None
        request.META[KEY] = None if text is None else _holder(request, text.strip())
    found: KeyHolder | None = request.META[KEY]
    return found


def _holder(request: HttpRequest, text: str) -> KeyHolder:
    def limit_lookups() -> None:
        # Inventing keys must not become the database's work.
        limit = settings.RATE_LIMIT_PER_ADDRESS
        turn = take(bucket_for(f"look-up:{client_address(request)}", limit)) if limit else None
        if turn is not None and not turn.allowed:
            raise Throttled(turn.wait)

    holder = holder_of(text, before_asking=limit_lookups)
    if holder is None:
        raise AuthenticationFailed(NOT_A_KEY)
    return holder
