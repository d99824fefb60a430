"""What Valkey holds of each market: its newest candles, version and watermark, written only ever upwards.

A cold, stale or absent cache changes the time of an answer, never its truth. Key `ck:market:<symbol>`, a hash of
series, version, watermark (ms) and candles (JSON by resolution); a write also wakes the readers of `ck:changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django_redis import get_redis_connection
from redis.exceptions import RedisError

from datastore.queries import fetch_all
from datastore.writes import MarketChange

LIFETIME = 3600  # seconds; a market that trades is written far more often
NEWEST = (Path(__file__).parent / "sql" / "newest_candles.sql").read_text()

# Two consumers may write out of order: a version that is not newer stays outside, unless the history is another one.
_RAISE = """
local raised = 0
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 4
  local known = redis.call('HMGET', key, 'series', 'version', 'watermark')
  local version, mark = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]) or 0
  local same = known[1] == ARGV[at + 2]
  local newer = not same or tonumber(known[2]) < version
  if newer or tonumber(known[2]) == version and (tonumber(known[3]) or 0) <= mark then
    redis.call('HSET', key, 'series', ARGV[at + 2], 'version', ARGV[at + 3],
               'watermark', ARGV[at + 4], 'candles', ARGV[at + 5])
    redis.call('PUBLISH', 'ck:changes', key .. ' ' .. ARGV[at + 3])
    raised = raised + 1
  end
  redis.call('EXPIRE', key, ARGV[1])
end
return raised
"""


class CacheUnavailable(Exception):
    """The cache does not answer."""


def key_of(symbol: str) -> str:
    """Return the key of a market's hash."""
    return f"ck:market:{symbol}"


def write_changed(changes: Sequence[MarketChange]) -> int:
    """Write the markets that changed; return how many the cache took. Raises CacheUnavailable."""
    ids = [change.market_id for change in changes if change.changed]
    return _write(ids) if ids else 0


def write_all() -> int:
    """Write every market anew, whatever changed. Raises CacheUnavailable."""
    return _write(None)


def _write(ids: list[int] | None) -> int:
    rows = fetch_all(NEWEST, {"ids": ids})
    if not rows:
        return 0
    values = [str(LIFETIME)]
    for _symbol, series, version, watermark, candles in rows:
        values += [series, str(version), "" if watermark is None else str(watermark), candles]
    try:
        client = get_redis_connection("default")
        return int(client.eval(_RAISE, len(rows), *[key_of(row[0]) for row in rows], *values))
    except RedisError as exc:
        raise CacheUnavailable(f"the cache does not answer: {exc}") from exc
