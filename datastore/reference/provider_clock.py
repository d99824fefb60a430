"""The provider's time: the database's steady time plus an offset that the Producer measures.

Every reader asks the database, in Python or inside a statement of SQL, so that all processes on all machines have the
same. Both parts are free of the clocks that are set: steady time is the kernel's count since the boot of the
database's machine (sql/functions/steady_time.sql), and the Producer compares stamps with its own machine's count. So
NTP or an operator moves nothing. The offset alone may be wrong, and is mended in either direction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from datastore.db.queries import execute, fetch_value
from datastore.db.sql_files import statement
from datastore.models import ProviderClock
from datastore.reference.provider import UNNAMED


def provider_now() -> datetime:
    """Return the provider's time; the database's clock until a stamp of the provider was seen."""
    now: datetime = fetch_value("select provider_now()")
    return now


def steady_now() -> datetime:
    """Return the database's steady time, which dates its rows."""
    now: datetime = fetch_value("select steady_now()")
    return now


def keep_steady_time() -> datetime:
    """Note the boot of the database's machine, so that steady time goes on after the next; return steady time."""
    now: datetime = fetch_value("select keep_steady_time()")
    return now


def is_steady() -> bool:
    """Return whether the database's steady time is the kernel's count, not its clock."""
    return bool(fetch_value("select uptime() is not null"))


def provider_time_known() -> bool:
    """Return whether a stamp of the provider was seen since the database's machine was started."""
    return bool(fetch_value("select provider_time_known()"))


def saved_clock() -> ProviderClock | None:
    """Return the provider's clock as it was last saved, None before the first stamp."""
    return ProviderClock.objects.exclude(clock_offset=None).first()


def save_clock(offset: timedelta, certain_until: datetime | None = None) -> None:
    """Save the provider's time minus steady time, and its time before it last jumped ahead."""
    values = {"unnamed": UNNAMED, "offset": offset, "certain": certain_until}
    execute(statement("known", "save_clock"), values)
