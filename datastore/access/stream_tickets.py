"""Signed tickets: the API checks who may follow what, and the stream process trusts its signature for a minute.

After a lost connection Chromium reconnects to the address it was redirected to, with the old ticket and Last-Event-ID
(a browser that asks the API again gets a new ticket). So for a day an old ticket resumes its stream, if its holder may
still read. Without a cursor to resume from, it only redirects back to the API.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import Enum
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing

from datastore.db.steady_clock import steady_clock
from datastore.models import ApiKey

STREAM_PATH = "/stream/candles"  # where the stream process accepts tickets of a series
TICKERS_PATH = "/stream/tickers"  # and those of all followed markets
TICKET_TTL_S = 60
RESUME_TTL_S = 86_400
SIGNING_SALT = "candlekeep.stream"


class TicketAge(Enum):
    """What a ticket is still good for."""

    FRESH = "fresh"  # begins a stream
    STALE = "stale"  # resumes its stream
    EXPIRED = "expired"  # only redirects to where another one is given out


class BadTicket(ValueError):
    """This ticket was not signed here."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What may be followed, by whom, and from which cursor on.

    Without a market it is for the tickers of all that are followed.
    """

    market: int | None
    symbol: str
    timeframe: str
    limit: int  # buckets of a snapshot
    cursor: str | None
    key: str | None  # prefix of the API key that was sent
    user: int | None  # who is signed in
    stream: int | None  # the Stream that is followed
    again: str  # the address that gave out the ticket and gives out another
    page: str  # the API's own origin, as the caller spells it
    foreign: bool  # asked for by a page of another origin that may read
    parts: str = ""  # whose parts come with it: a page of settings.PAGE_PARTS; empty for other readers


def stream_server(scheme: str, host: str) -> str:
    """Return the base address of the stream process for a reader who asks by this scheme and host (with its port)."""
    if settings.SSE_URL:
        return str(settings.SSE_URL)
    # It listens at the host that the request was sent to.
    name = urlsplit(f"//{host}").hostname or settings.HOST
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{settings.SSE_PORT}"


def sign_ticket(ticket: Ticket) -> str:
    """Return the ticket as text for a URL. Its age is measured by steady time: two machines' clocks need not agree."""
    if steady_clock.is_due:
        steady_clock.measure()
    return signing.dumps([round(steady_clock.seconds()), *astuple(ticket)], salt=SIGNING_SALT, compress=True)


def read_ticket(text: str) -> tuple[Ticket, TicketAge]:
    """Return the ticket and what it is good for; raise BadTicket if it was not signed here or by this version.

    steady_clock must have been measured.
    """
    try:
        issued, *values = signing.loads(text, salt=SIGNING_SALT)
    except signing.BadSignature as exc:
        raise BadTicket(str(exc)) from None
    try:
        ticket = msgspec.convert(dict(zip(Ticket.__slots__, values, strict=True)), Ticket)
        age_s = steady_clock.seconds() - msgspec.convert(issued, int)
    except (msgspec.ValidationError, ValueError, TypeError):
        raise BadTicket("it is of another version of Candlekeep") from None
    if age_s <= TICKET_TTL_S:
        return ticket, TicketAge.FRESH
    return ticket, TicketAge.STALE if age_s <= RESUME_TTL_S else TicketAge.EXPIRED


def no_longer_allowed(keys: list[str], users: list[int]) -> set[str | int]:
    """Return which of these key prefixes were revoked, and which of these user ids are no longer active."""
    valid = ApiKey.objects.filter(prefix__in=keys, revoked_at=None).values_list("prefix", flat=True)
    active = get_user_model()._default_manager.filter(pk__in=users, is_active=True)
    asked: set[str | int] = {*keys, *users}
    return asked.difference(valid if keys else (), active.values_list("pk", flat=True) if users else ())


def may_still_read(ticket: Ticket) -> bool:
    """Return whether the ticket's holder would get another one."""
    if ticket.key is None and ticket.user is None:
        return not settings.REQUIRE_API_KEY
    keys = [] if ticket.key is None else [ticket.key]
    users = [] if ticket.user is None else [ticket.user]
    return not no_longer_allowed(keys, users)
