"""What Valkey holds of each market: its newest candles, version and watermark, written only ever upwards.

A cold, stale or absent cache changes the time of an answer, never its truth. Key `ck:market:<symbol>`, a hash of
series, version, watermark and now (ms of the provider's clock), confirmed (Valkey's clock, microseconds: the database
held nothing newer then) and candles (JSON by resolution). A write that raises it wakes the readers of `ck:changes`:
they are told `key version confirmed`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.ingest.live_write import MarketChange
from datastore.models import Market
from datastore.reference.markets import feed_markets

CHANGES_CHANNEL = "ck:changes"
CACHE_TTL_S = 3600  # seconds; a market that trades is written far more often
CONFIRM_INTERVAL_MS = 700  # milliseconds in which no other process needs to confirm again

# Two consumers may write out of order: a version that is not newer stays outside, unless the history is another one.
_RAISE = """
local raised = 0
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5 + 2
  local series, version, mark, now, candles = unpack(ARGV, at + 1, at + 5)
  local known = redis.call('HMGET', key, 'series', 'version', 'watermark')
  local newer = known[1] ~= series or tonumber(known[2]) < tonumber(version)
  local same = not newer and tonumber(known[2]) == tonumber(version)
  if newer or same and (tonumber(known[3]) or 0) <= (tonumber(mark) or 0) then
    redis.call('HSET', key, 'series', series, 'version', version, 'watermark', mark, 'now', now, 'confirmed', ARGV[2])
    if candles ~= '' then
      redis.call('HSET', key, 'candles', candles)
    elseif newer then
      redis.call('HDEL', key, 'candles')
    end
    redis.call('EXPIRE', key, ARGV[1])
    if newer or candles ~= '' then
      redis.call('PUBLISH', 'ck:changes', key .. ' ' .. version .. ' ' .. ARGV[2])
      raised = raised + 1
    end
  end
end
return raised
"""


class CachedHead(NamedTuple):
    """What a reader compares; times in ms of the provider's clock."""

    series: str
    version: int
    watermark: int | None
    now: int


class CacheUnavailable(Exception):
    """The cache does not answer."""


def market_key(symbol: str) -> str:
    """Return the key of a market's hash."""
    return f"ck:market:{symbol}"


def write_changed(changes: Sequence[MarketChange]) -> int:
    """Write the markets that changed; return how many the cache took. Raises CacheUnavailable."""
    return write_markets({change.market_id for change in changes if change.changed})


def write_markets(ids: Collection[int]) -> int:
    """Write these markets anew, whatever changed. Raises CacheUnavailable."""
    return _write("newest", list(ids)) if ids else 0


def write_followed() -> int:
    """Write every market that is kept anew, whatever changed. Raises CacheUnavailable."""
    return _write("newest", _kept_ids())


def confirm() -> int:
    """Say what the database holds of every market that is kept; return how many a writer had not brought. Raises so.

    A reader trusts a version for two seconds after this. It heals what a writer left out that died in between.
    """
    try:
        first = get_redis_connection("default").set("ck:confirming", "1", nx=True, px=CONFIRM_INTERVAL_MS)
    except RedisError as exc:
        raise CacheUnavailable(f"the cache does not answer: {exc}") from exc
    return _write("standing", _kept_ids()) if first else 0


def cached_head(market: Market) -> CachedHead:
    """Return what the database holds of a market now."""
    ((_, *facts, _),) = _read("standing", [market.pk])
    return CachedHead(*facts)


def _kept_ids() -> list[int]:
    return list(feed_markets().order_by().values_list("pk", flat=True))


def _read(name: str, ids: list[int]) -> list[Any]:
    return fetch_all(statement("cache", name), {"ids": ids, "stale": timedelta(seconds=settings.STALE_AFTER)})


def _write(name: str, ids: list[int]) -> int:
    try:
        client = get_redis_connection("default")
        seconds, micros = client.time()  # before the rows are read: they are what was true by then
        rows = _read(name, ids)
        if not rows:
            return 0
        arguments = [str(CACHE_TTL_S), f"{seconds}{micros:06}"]
        for _symbol, *facts in rows:
            arguments += ["" if fact is None else str(fact) for fact in facts]
        return int(client.eval(_RAISE, len(rows), *[market_key(row[0]) for row in rows], *arguments))
    except RedisError as exc:
        raise CacheUnavailable(f"the cache does not answer: {exc}") from exc
