"""How far the feeds are acknowledged and how far they are read, so that what lies between is known to be on its way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from datastore.queries import execute

# behind_since stays while nobody has read to the end: the watermark waits from there on.
ACKNOWLEDGED = """
insert into feed as f (feed, topic, markets, connected, acknowledged_until, acknowledged_at, behind_since)
values (%(feed)s, split_part(%(feed)s, '/', 1), to_jsonb(%(markets)s::text[]), %(connected)s, %(until)s,
        clock_timestamp(),
        provider_now())
on conflict (feed) do update
   set acknowledged_until = greatest(f.acknowledged_until, excluded.acknowledged_until),
       markets = case when excluded.markets = '[]' then f.markets else excluded.markets end,
       connected = coalesce(excluded.connected, f.connected),
       acknowledged_at = excluded.acknowledged_at,
       behind_since = case when f.drained_at >= f.acknowledged_at then excluded.behind_since else f.behind_since end
 where excluded.acknowledged_until > f.acknowledged_until
"""
DRAINED = """
update feed set drained_at = clock_timestamp() - %(ago)s
 where topic = %(topic)s and (drained_at is null or drained_at < acknowledged_at)
"""


def note_acknowledged(
    feed: str, until: datetime, *, connected: datetime | None = None, markets: Sequence[str] = ()
) -> None:
    """Note the newest `until` that the broker acknowledged for a feed.

    markets: the symbols it carries; none named means every market that its topic ever brought.
    """
    execute(ACKNOWLEDGED, {"feed": feed, "until": until, "connected": connected, "markets": list(markets)})


def note_drained(topic: str, ago: timedelta = timedelta(0)) -> None:
    """Note that the consumer has read and stored its topic to the end; ago: since its empty poll began."""
    execute(DRAINED, {"topic": topic, "ago": ago})
