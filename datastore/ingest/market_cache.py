"""Each market's newest candles, version and watermark in Valkey; a version never goes back.

A cold, stale or missing cache makes an answer slower, never wrong. The key `ck:market:<symbol>` is a hash of series,
version, watermark and now (ms of the provider's clock), confirmed (Valkey's steady time, microseconds: the database
held nothing newer then) and candles (JSON by resolution). A newer version is published on `ck:changes` as
`key version confirmed`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from django_redis import get_redis_connection
from redis.exceptions import RedisError

from datastore.access.lua_scripts import STEADY, STEADY_NOW, Script
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.ingest.live_write import MarketChange
from datastore.models import DynamicTopic
from datastore.reference.markets import feed_markets
from datastore.reference.staleness import stale_after

CHANGES_CHANNEL = "ck:changes"
CACHE_TTL_S = 3600  # a market that trades is written far more often
CONFIRM_INTERVAL_MS = 900  # one process confirms, the others need not within this time
READERS_KEY = "ck:readers"  # there while answers are asked for
READERS_NOTED_FOR_MS, NOTE_READER_EVERY_S = 10_000, 1.0

# Two consumers may write out of order: an older version is not written, unless it belongs to another history (series).
_WRITE_NEWER = """
local written = 0
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
      written = written + 1
    end
  end
end
return written
"""

# One caller in so many milliseconds; a key that merely expires would stay as long as the clock is set back.
_FIRST_IN_INTERVAL = (
    STEADY
    + """
local now, interval = steady(), tonumber(ARGV[1]) * 1000
local free = tonumber(redis.call('GET', KEYS[1]) or 0)
if now < free and free <= now + interval then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', now + interval), 'PX', ARGV[1])
return 1
"""
)


_NOTE_READER = Script("redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])")
_reader_noted_at = float("-inf")  # monotonic


class CacheUnavailable(Exception):
    """Valkey does not answer."""


def market_key(symbol: str) -> str:
    """Return the key of a market's hash."""
    return f"ck:market:{symbol}"


def write_changed(changes: Sequence[MarketChange]) -> int:
    """Write the markets that changed; return how many the cache accepted. Raises CacheUnavailable."""
    return write_markets({change.market_id for change in changes if change.changed})


def write_markets(ids: Collection[int]) -> int:
    """Write the markets with these ids; return how many the cache accepted. Raises CacheUnavailable."""
    return _write("newest", {"ids": list(ids)}) if ids else 0


def write_followed() -> int:
    """Write every market whose feed we take; return how many the cache accepted. Raises CacheUnavailable."""
    return _write("newest", {"ids": list(feed_markets().order_by().values_list("pk", flat=True))})


def note_reader() -> None:
    """Note that answers are asked for, so that versions are confirmed; do nothing if that was noted within a second."""
    global _reader_noted_at
    if (now := monotonic()) - _reader_noted_at >= NOTE_READER_EVERY_S:
        _reader_noted_at = now
        with suppress(RedisError):
            _NOTE_READER((READERS_KEY,), READERS_NOTED_FOR_MS)


def has_readers() -> bool:
    """Return whether answers were asked for within the last seconds. Raises CacheUnavailable."""
    try:
        return bool(get_redis_connection("default").exists(READERS_KEY))
    except RedisError as exc:
        raise CacheUnavailable(f"the cache does not answer: {exc}") from exc


def confirm(interval_ms: int = CONFIRM_INTERVAL_MS) -> int:
    """Confirm each followed market's version in Valkey; return how many were stale. Raises CacheUnavailable.

    A reader trusts a version for two seconds after this. It also repairs the entries of a writer that died too early.
    interval_ms: do nothing if it was done within so long before, in whatever process.
    """
    try:
        first = get_redis_connection("default").eval(_FIRST_IN_INTERVAL, 1, "ck:confirming", interval_ms)
    except RedisError as exc:
        raise CacheUnavailable(f"the cache does not answer: {exc}") from exc
    return _write("fed_heads", {"alive": list(DynamicTopic.ALIVE)}) if first else 0


def _write(name: str, values: dict[str, Any]) -> int:
    """Write the rows of the statement `name`; return how many the cache accepted. Raises CacheUnavailable."""
    try:
        client = get_redis_connection("default")
        confirmed = client.eval(
            STEADY_NOW, 0
        ).decode()  # taken before the rows are read, so that they are at least this new
        rows = fetch_all(statement("cache", name), {**values, "stale": stale_after()})
        if not rows:
            return 0
        arguments = [str(CACHE_TTL_S), confirmed]
        for _symbol, *columns in rows:
            arguments += ["" if value is None else str(value) for value in columns]
        return int(client.eval(_WRITE_NEWER, len(rows), *[market_key(row[0]) for row in rows], *arguments))
    except RedisError as exc:
        raise CacheUnavailable(f"the cache does not answer: {exc}") from exc
