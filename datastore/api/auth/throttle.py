"""The rate limit of every view, and the headers that show a client what is left of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from datastore.access.rate_limits import Bucket, RateLimitResult, bucket_for, take
from datastore.api.auth.api_key_header import key_of
from datastore.api.auth.client_address import client_address

if TYPE_CHECKING:  # its module imports this one: these classes are the defaults of its views
    from rest_framework.views import APIView


class RateLimit(BaseThrottle):
    """One step in Valkey per request, whatever the rate."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True; raise Throttled if too many have come."""
        take_turn(request, view)
        return True


def take_turn(request: Request, view: APIView) -> None:
    """Count the request, and put the RateLimit headers on whatever the view answers. Raises Throttled."""
    bucket = bucket_of(request._request)
    if bucket:
        enforce(view, bucket, take(bucket))


def bucket_of(request: HttpRequest) -> Bucket | None:
    """Return what this request takes from: its key's bucket, else its address's; None if there is no limit.

    Raises AuthenticationFailed and Throttled for a key that is not valid.
    """
    holder = key_of(request)
    if holder is None:
        limit = settings.RATE_LIMIT_PER_ADDRESS
        return bucket_for("address:" + client_address(request), limit) if limit else None
    limit = settings.RATE_LIMIT_PER_KEY if holder.rate is None else holder.rate
    return bucket_for("key:" + holder.prefix, limit) if limit else None


def enforce(view: APIView, bucket: Bucket, turn: RateLimitResult | None) -> None:
    """Put the headers of a turn on whatever the view answers; None: Valkey is away. Raises Throttled."""
    view.headers.update(headers_of(bucket, turn))
    if turn is not None and not turn.allowed:
        raise Throttled(turn.wait)


def headers_of(bucket: Bucket | None, turn: RateLimitResult | None) -> dict[str, str]:
    """Return the headers that show what is left: none where there is no limit, or Valkey is away and nothing is known.

    The window of RateLimit-Policy is the time in which a whole bucket refills.
    """
    if bucket is None or turn is None:
        return {}
    return {
        "RateLimit-Limit": str(bucket.capacity),
        "RateLimit-Remaining": str(turn.remaining),
        "RateLimit-Reset": str(math.ceil((bucket.capacity - turn.remaining) / bucket.per_second)),
        "RateLimit-Policy": f"{bucket.capacity};w={math.ceil(bucket.capacity / bucket.per_second)}",
    }
