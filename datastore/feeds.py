"""How far the feeds are acknowledged and how far they are read, so that what lies between is known to be on its way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from datastore.models import Market
from datastore.queries import execute, fetch_value
from datastore.statements import statement


def note_acknowledged(
    feed: str, until: datetime, *, connected: datetime | None = None, markets: Sequence[str] = ()
) -> None:
    """Note the newest `until` that the broker acknowledged for a feed.

    markets: the symbols it carries; none named means every market that its topic ever brought.
    """
    values = {"feed": feed, "until": until, "connected": connected, "markets": list(markets)}
    execute(statement("known", "note_acknowledged"), values)


def acknowledged_until(market: Market) -> datetime | None:
    """Return up to where acknowledged claims of a market may wait to be stored, None where none do."""
    until: datetime | None = fetch_value(
        statement("known", "acknowledged_until"), {"market": market.pk, "symbol": market.symbol}
    )
    return until


def note_read(topic: str, at: datetime) -> None:
    """Note that all that lay in a topic at a time of the database's clock is read and stored, by whomever."""
    execute(statement("known", "note_read"), {"topic": topic, "at": at})


def note_drained(topic: str, ago: timedelta = timedelta(0)) -> None:
    """Note that the consumer has read and stored its topic to the end; ago: since its empty poll began."""
    execute(statement("known", "note_drained"), {"topic": topic, "ago": ago})
