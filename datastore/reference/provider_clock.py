"""The provider's time, as the database knows it."""

from __future__ import annotations

from datetime import datetime, timedelta

from datastore.db.queries import execute, fetch_value
from datastore.db.sql_files import statement
from datastore.reference.provider import UNNAMED


def provider_now() -> datetime:
    """Return the provider's time; before its first stamp the database's stands for it."""
    now: datetime = fetch_value("select provider_now()")
    return now


def database_now() -> datetime:
    """Return the database's time, by which its rows are dated."""
    now: datetime = fetch_value("select clock_timestamp()")
    return now


def provider_time_known() -> bool:
    """Tell whether any stamp of the provider was ever seen."""
    return bool(fetch_value("select provider_time_known()"))


def save_clock(offset: timedelta, floor: datetime) -> None:
    """Keep the provider's offset from the database's clock, and the greatest time given out by it."""
    execute(statement("known", "save_clock"), {"unnamed": UNNAMED, "offset": offset, "floor": floor})
