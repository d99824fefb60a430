"""The rate limit of every view, and the headers by which an asker sees where he stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from datastore.api.addresses import address_of
from datastore.api.rates import Bucket, headers, take
from datastore.api.sent_key import key_of

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
    turn = take(bucket) if bucket else None
    if bucket is None or turn is None:
        return
    view.headers.update(headers(bucket, turn))
    if not turn.allowed:
        raise Throttled(turn.wait)


class RateLimit(BaseThrottle):
    """One step in Valkey per request, whatever the rate."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return True; raise Throttled where too many have come."""
        take_turn(request, view)
        return True
