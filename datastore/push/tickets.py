"""Signed tickets: the API checks who may follow what, and the stream process believes its signature for a minute."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import msgspec
from django.core import signing

PATH = "/stream/candles"  # where they are taken
LIFETIME = 60  # seconds
SALT = "candlekeep.stream"


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
    stream: int | None  # the Stream that is followed
    again: str  # where the ticket was given out: the address to ask for another
    page: str  # the API's own origin, as its asker spells it
    foreign: bool  # asked for by a page of another origin that may read


def signed(ticket: Ticket) -> str:
    """Return the ticket as text for a URL."""
    return signing.dumps(astuple(ticket), salt=SALT, compress=True)


def read_ticket(text: str) -> tuple[Ticket, bool]:
    """Return the ticket and whether it is still good. Raises BadTicket where it is none of ours."""
    try:
        return _ticket(signing.loads(text, salt=SALT, max_age=LIFETIME)), True
    except signing.SignatureExpired:
        return _ticket(signing.loads(text, salt=SALT)), False
    except signing.BadSignature as exc:
        raise BadTicket(str(exc)) from None


def _ticket(parts: Any) -> Ticket:
    try:
        return msgspec.convert(dict(zip(Ticket.__slots__, parts, strict=True)), Ticket)
    except (msgspec.ValidationError, ValueError, TypeError):
        raise BadTicket("it is of another version of Candlekeep") from None
