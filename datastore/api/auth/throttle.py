"""The rate limit of every view, and the headers by which an asker sees where he stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from datastore.access.rate_limits import Bucket, RateLimitResult, take
from datastore.api.auth.api_key_header import key_of
from datastore.api.auth.client_address import address_of

if TYPE_CHECKING:  # its module imports this one: these classes are the defaults of its views
    from rest_framework.views import APIView


def bucket_of(request: HttpRequest) -> Bucket | None:
    """Return what this request takes from: its key's bucket, else its address's; None where there is no limit."""
    holder = key_of(request)
    if holder is None:
        limit, name = settings.RATE_LIMIT_PER_ADDRESS, "address:" + address_of(request)
    else:
        limit = settings.RATE_LIMIT_PER_KEY if holder.rate is None else holder.rate
        name = "key:" + holder.prefix
    return Bucket(name, limit) if limit else None


def take_turn(request: Request, view: APIView) -> None:
    """Count the request, and put the RateLimit headers on whatever the view answers. Raises Throttled."""
    bucket = bucket_of(request._request)
    apply(view, bucket, take(bucket) if bucket else None)


def apply(view: APIView, bucket: Bucket | None, turn: RateLimitResult | None) -> None:
    """Put the headers of a turn on whatever the view answers; without one there is nothing to say. Raises Throttled."""
    if bucket is None or turn is None:
        return
    view.headers.update(_headers(bucket, turn))
    if not turn.allowed:
        raise Throttled(turn.wait)


class RateLimit(BaseThrottle):
    """One step in Valkey per request, whatever the rate."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True; raise Throttled where too many have come."""
        take_turn(request, view)
        return True


def _headers(bucket: Bucket, turn: RateLimitResult) -> dict[str, str]:
    """Return the headers that tell an asker where he stands; a window is the time in which a whole bucket refills."""
    return {
        "RateLimit-Limit": str(bucket.capacity),
        "RateLimit-Remaining": str(turn.remaining),
        "RateLimit-Reset": str(math.ceil((bucket.capacity - turn.remaining) / bucket.per_second)),
        "RateLimit-Policy": f"{bucket.capacity};w={math.ceil(bucket.capacity / bucket.per_second)}",
    }
