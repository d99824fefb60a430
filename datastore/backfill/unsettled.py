"""What waits until a topic is read to its end: feeds that are behind, and requests whose pages are all published."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement


class Unsettled(NamedTuple):
    """Whether anything waits, and when that was so."""

    at: datetime  # the database's clock; what is published later waits for a later look
    anything: bool


def unsettled(topic: str, *, trades: bool) -> Unsettled:
    """Return what waits for this topic, in one statement; trades: whether it carries trades, and not candles."""
    ((at, anything),) = fetch_all(statement("known", "unsettled"), {"topic": topic, "trades": trades})
    return Unsettled(at, anything)
