"""A provider's time: the database's steady time plus an offset that its Producer measures.

Every reader asks the database, in Python or inside a statement of SQL, so that all processes on all machines have the
same. Both parts are free of the clocks that are set: steady time is the kernel's count since the boot of the
database's machine (sql/functions/steady_time.sql), and the Producer compares stamps with its own machine's count. So
NTP or an operator moves nothing. The offset alone may be wrong, and is mended in either direction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import ProviderClock


def provider_now(provider: str | None = None) -> datetime:
    """Return a provider's time; the database's clock until a stamp of it was seen.

    None, for what concerns no market alone: the time of the provider that is furthest behind.
    """
    if provider is None:
        platform: datetime = fetch_value("select provider_now()")
        return platform
    now: datetime = fetch_value("select provider_now(%s)", [provider])
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


def provider_time_known(provider: str) -> bool:
    """Return whether a stamp of this provider was seen since the database's machine was started."""
    return bool(fetch_value("select provider_time_known(%s)", [provider]))


def known_times() -> dict[str, datetime]:
    """Return the time of each provider of which a stamp was seen, by its name."""
    return dict(fetch_all("select provider, now from provider_times()"))


def saved_clock(provider: str) -> ProviderClock | None:
    """Return a provider's clock as it was last saved, None before its first stamp."""
    return ProviderClock.objects.filter(provider=provider).exclude(clock_offset=None).first()


def save_clock(provider: str, offset: timedelta, certain_until: datetime | None = None) -> None:
    """Save a provider's time minus steady time, and its time before it last jumped ahead."""
    values = {"provider": provider, "offset": offset, "certain": certain_until}
    execute(statement("known", "save_clock"), values)
