"""The provider's time, as the database knows it."""

from __future__ import annotations

from datetime import datetime, timedelta

from datastore.provider import UNNAMED
from datastore.queries import execute, fetch_value

# The greatest time given out so far, by the old offset too: time never goes back, a smaller offset makes it stand.
SAVE = """
insert into provider_clock (provider, simulated, clock_offset, floor, measured_at)
select coalesce((select provider from provider_clock limit 1), %(unnamed)s), false, %(offset)s, %(floor)s,
       clock_timestamp()
on conflict (provider) do update
   set clock_offset = excluded.clock_offset,
       floor = greatest(excluded.floor, provider_clock.floor, clock_timestamp() + provider_clock.clock_offset),
       measured_at = excluded.measured_at
"""


def provider_now() -> datetime:
    """Return the provider's time; before its first stamp the database's stands for it."""
    now: datetime = fetch_value("select provider_now()")
    return now


def save_clock(offset: timedelta, floor: datetime) -> None:
    """Keep the provider's offset from the database's clock, and the greatest time given out by it."""
    execute(SAVE, {"unnamed": UNNAMED, "offset": offset, "floor": floor})
