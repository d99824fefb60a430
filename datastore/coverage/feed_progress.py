"""How far each feed is acknowledged and how far it is stored: what lies between is on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from datastore.db.news import Subject, tell
from datastore.db.queries import execute, execute_many, fetch_value
from datastore.db.sql_files import statement
from datastore.models import Market


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The newest `until` that the broker acknowledged for a feed, and the symbols of the markets it carries."""

    feed: str
    until: datetime
    markets: Sequence[str]


def note_acknowledged(
    feed: str, until: datetime, *, connected: datetime | None = None, markets: Sequence[str] = ()
) -> None:
    """Note the newest `until` that the broker acknowledged for a feed.

    markets: the symbols it carries; empty means every market that its topic ever brought.
    """
    values = {"feed": feed, "until": until, "connected": connected, "markets": list(markets)}
    execute(statement("known", "note_acknowledged"), values)
    tell(Subject.FEEDS)


def note_all_acknowledged(noted: Sequence[Acknowledged]) -> None:
    """Note the newest acknowledged time of many feeds in one round trip."""
    rows = [
        {"feed": each.feed, "until": each.until, "connected": None, "markets": list(each.markets)} for each in noted
    ]
    if rows:
        execute_many(statement("known", "note_acknowledged"), rows)
        tell(Subject.FEEDS)


def acknowledged_until(market: Market) -> datetime | None:
    """Return up to where acknowledged claims of a market may wait to be stored, None if none do."""
    until: datetime | None = fetch_value(
        statement("known", "acknowledged_until"), {"market": market.pk, "symbol": market.symbol}
    )
    return until


def note_read(topic: str, at: datetime) -> None:
    """Note that all that was in a topic at a time of the database's clock is stored, whichever consumer stored it."""
    note_all_read({topic: at})


def note_all_read(topics: Mapping[str, datetime]) -> None:
    """Note, by topic, the time up to which its content is stored, in one statement."""
    if topics:
        execute(statement("known", "note_read"), {"topics": list(topics), "ats": list(topics.values())})
