"""Signed tickets: the API checks who may follow what, and the stream process believes its signature for a minute.

Chromium comes back after a lost connection to the address it was led to, with the ticket of then and Last-Event-ID (a
browser that asks the API again gets a new one). So for a day an old ticket takes its stream up again, if whoever got it
may read still; without a cursor to go on from it only leads back to the API.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import Enum
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing

from datastore.models import ApiKey

STREAM_PATH = "/stream/candles"  # where they are taken
TICKET_TTL_S = 60  # seconds
RESUME_TTL_S = 86_400  # seconds
SIGNING_SALT = "candlekeep.stream"


class TicketAge(Enum):
    """What a ticket is good for."""

    FRESH = "a stream"
    OLD = "going on with its stream"
    OVER = "nothing but the way to another"


class BadTicket(ValueError):
    """This is no ticket of ours."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What may be followed, by whom, and from where on."""

    market: int
    symbol: str
    timeframe: str
    limit: int  # buckets of a snapshot
    cursor: str | None
    key: str | None  # prefix of the API key that was sent
    user: int | None  # of staff who came with a session
    stream: int | None  # the Stream that is followed
    again: str  # where the ticket was given out: the address to ask for another
    page: str  # the API's own origin, as its asker spells it
    foreign: bool  # asked for by a page of another origin that may read


def sign_ticket(ticket: Ticket) -> str:
    """Return the ticket as text for a URL."""
    return signing.dumps(astuple(ticket), salt=SIGNING_SALT, compress=True)


def read_ticket(text: str) -> tuple[Ticket, TicketAge]:
    """Return the ticket and what it is good for. Raises BadTicket where it is none of ours."""
    try:
        parts = signing.loads(text, salt=SIGNING_SALT)
    except signing.BadSignature as exc:
        raise BadTicket(str(exc)) from None
    return _ticket(parts), _age(text)


def _age(text: str) -> TicketAge:
    for age, seconds in ((TicketAge.FRESH, TICKET_TTL_S), (TicketAge.STALE, RESUME_TTL_S)):
        try:
            signing.loads(text, salt=SIGNING_SALT, max_age=seconds)
        except signing.SignatureExpired:
            continue
        return age
    return TicketAge.EXPIRED


def no_longer_allowed(keys: list[str], users: list[int]) -> set[str | int]:
    """Return which of these keys were revoked, and which of these users are not staff any more."""
    known = ApiKey.objects.filter(prefix__in=keys, revoked_at=None).values_list("prefix", flat=True)
    staff = get_user_model()._default_manager.filter(pk__in=users, is_active=True, is_staff=True)
    asked: set[str | int] = {*keys, *users}
    return asked.difference(known if keys else (), staff.values_list("pk", flat=True) if users else ())


def may_still_read(ticket: Ticket) -> bool:
    """Tell whether whoever got a ticket would get another one."""
    named = [ticket.key] if ticket.key is not None else [], [ticket.user] if ticket.user is not None else []
    return not no_longer_allowed(*named) if any(named) else not settings.REQUIRE_API_KEY


def _ticket(parts: Any) -> Ticket:
    try:
        return msgspec.convert(dict(zip(Ticket.__slots__, parts, strict=True)), Ticket)
    except (msgspec.ValidationError, ValueError, TypeError):
        raise BadTicket("it is of another version of Candlekeep") from None
