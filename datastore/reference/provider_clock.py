"""The provider's time: the database's clock plus an offset that the producers measure."""

from __future__ import annotations

from datetime import datetime, timedelta

from datastore.db.queries import execute, fetch_value
from datastore.db.sql_files import statement
from datastore.reference.provider import UNNAMED


def provider_now() -> datetime:
    """Return the provider's time; the database's until a stamp of the provider was seen."""
    now: datetime = fetch_value("select provider_now()")
    return now


def database_now() -> datetime:
    """Return the database's time, which dates its rows."""
    now: datetime = fetch_value("select clock_timestamp()")
    return now


def provider_time_known() -> bool:
    """Return whether a stamp of the provider was ever seen."""
    return bool(fetch_value("select provider_time_known()"))


def save_clock(offset: timedelta, floor: datetime) -> None:
    """Save the provider's offset from the database's clock, and the greatest time that was given out."""
    execute(statement("known", "save_clock"), {"unnamed": UNNAMED, "offset": offset, "floor": floor})
