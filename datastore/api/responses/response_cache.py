"""Ready answers to the usual questions: a question's bytes, kept as long as they are what would be read anew.

In Valkey under `ck:answer:<symbol>:<question>`, a hash of what the answer shows (series, version, watermark and now in
ms), `read` (Valkey's clock before the rows were read) and its parts; `ck:answers` names them all, the oldest first, so
that they never fill the memory that streams live in. Each process keeps the parts it has seen, named by read and
version, so that a look brings bytes only where they are new to it. An answer is given

1. where its market was confirmed within two seconds (cache.py): one look, no database. It shows the confirmed version
   and stands in the same minute of watermark and provider's time, so no bucket began or was closed since. While one
   reader makes a newer one, the others get this one, at most a second old;
2. where nobody confirms: after a look at the market's row, and only if it shows just that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from redis.exceptions import RedisError

from datastore.access.lua_scripts import Script
from datastore.access.rate_limits import TAKE, Bucket, RateLimitResult, result_of, script_arguments
from datastore.ingest.market_cache import cached_head, market_key
from datastore.models import Market
from datastore.series.reader import Series
from datastore.timeframes.intervals import micros_of

CONFIRMED = 1_950_000  # microseconds that a version is believed after its confirmation
AGAIN = 0.02  # seconds for which a process gives an answer again without a look: with the above, it is 2 s old at most
MAKING = 250  # milliseconds that one reader has to make a newer answer while others get the one before
LAGGING = 1_000_000  # microseconds: how old that one may be
KEPT, LIFETIME = 256, 120_000  # answers at most, and milliseconds each
LARGEST = 256 * 1024  # bytes of an answer worth keeping
MINUTE = 60_000
HIT, UNCONFIRMED = b"hit", b"unconfirmed"

# With a third key, the asker's bucket, his turn is taken in the same round trip (rates.py).
_LOOK = Script(
    TAKE
    + """
local turn = KEYS[3] and {take(KEYS[3], ARGV[5], ARGV[6], ARGV[7])} or false
if turn and turn[1] == 0 then return {turn} end
local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]
local market = redis.call('HMGET', KEYS[1], 'series', 'version', 'watermark', 'now', 'confirmed')
local answer = redis.call('HMGET', KEYS[2], 'series', 'version', 'watermark', 'now', 'read')
local function minute(text) return math.floor((tonumber(text) or -1) / 60000) end
local function told(state, watermark, now)
  local name = answer[5] and answer[5] .. ':' .. answer[2]
  local found = {turn, string.format('%.0f', clock), state, watermark, now, name}
  if name and name ~= ARGV[4] then
    local parts = redis.call('HMGET', KEYS[2], 'etag', 'before', 'between', 'after')
    for i, value in ipairs({answer[1], answer[2], answer[3], answer[4], unpack(parts)}) do found[6 + i] = value end
  end
  return found
end
if not market[5] or clock - market[5] > tonumber(ARGV[1]) then
  return told('unconfirmed', answer[3], answer[4])
end
local now = string.format('%.0f', math.floor(market[4] + (clock - market[5]) / 1000))
if answer[1] == market[1] and answer[2] == market[2] and minute(answer[3]) == minute(market[3])
    and minute(answer[4]) == minute(now) then
  return told('hit', market[3], now)
end
local shown = answer[1] == market[1] and clock - answer[5] <= tonumber(ARGV[3])
if not shown or redis.call('SET', KEYS[2] .. ':making', '1', 'NX', 'PX', ARGV[2]) then
  return {turn, string.format('%.0f', clock)}
end
return told('hit', answer[3], answer[4])
"""
)
# Readers may finish out of order: what was read earlier, or shows an older version, stays outside.
_KEEP = Script("""
local known = redis.call('HMGET', KEYS[1], 'series', 'version', 'read')
if known[1] == ARGV[2] and (tonumber(known[2]) > tonumber(ARGV[3]) or tonumber(known[3]) > tonumber(ARGV[6])) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'series', ARGV[2], 'version', ARGV[3], 'watermark', ARGV[4], 'now', ARGV[5],
           'read', ARGV[6], 'etag', ARGV[7], 'before', ARGV[8], 'between', ARGV[9], 'after', ARGV[10])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('ZADD', 'ck:answers', ARGV[6], KEYS[1])
local most = tonumber(ARGV[11])
for _, old in ipairs(redis.call('ZRANGE', 'ck:answers', 0, -most - 1)) do redis.call('DEL', old) end
redis.call('ZREMRANGEBYRANK', 'ck:answers', 0, -most - 1)
return 1
""")
_seen: dict[tuple[str, str], CachedAnswer] = {}  # by symbol and question, the oldest first
_given: dict[tuple[str, str], tuple[float, CacheHit]] = {}  # when each was given last after a look


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer's bytes without what changes from one second to the next: its times, and the cursor made of them."""

    series: str
    version: int
    watermark: int | None  # ms
    now: int  # ms, the provider's time
    name: bytes
    etag: str
    before: bytes
    between: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class CacheHit:
    """An answer to be given, with the times that it is to show (ms)."""

    kept: CachedAnswer
    watermark: int | None
    now: int


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What the cache knows of a question; clock: Valkey's, before anything is read, for keep()."""

    clock: bytes
    hit: CacheHit | None = None  # may be given as it is
    unconfirmed: CachedAnswer | None = None

    def still(self, market: Market) -> CacheHit | None:
        """Return the answer where nobody confirmed the market's version but its row does, as it stands now."""
        kept = self.unconfirmed
        if kept is None:
            return None
        series, version, watermark, now = cached_head(market)
        same = (series, version) == (kept.series, kept.version)
        same = same and (_minute(watermark), _minute(now)) == (_minute(kept.watermark), _minute(kept.now))
        return CacheHit(kept, watermark, now) if same else None


def lookup(
    symbol: str, question: str, bucket: Bucket | None = None
) -> tuple[CacheLookup | None, RateLimitResult | None]:
    """Ask for a market's ready answer and take the asker's turn; None where the cache does not answer.

    bucket: from which a turn is taken in the same step; where it is refused nothing is looked for.
    """
    seen = _seen.get((symbol, question))
    keys = [market_key(symbol), _key(symbol, question)]
    values: list[Any] = [CONFIRMED, MAKING, LAGGING, seen.name if seen else b""]
    if bucket:
        keys.append(bucket.key)
        values += script_arguments(bucket)
    try:
        taken, *found = _LOOK(keys, *values)
    except RedisError:
        return None, None
    turn = result_of(bucket, taken) if bucket and taken else None
    told = _told(found, symbol, question, seen) if found else None
    if told and told.hit:
        _given[symbol, question] = (monotonic(), told.hit)
    return told, turn


def recent(symbol: str, question: str) -> CacheLookup | None:
    """Return the answer that was given a moment ago, with its time gone on; None where there is none so young."""
    at, ready = _given.get((symbol, question), (0.0, None))
    age = monotonic() - at
    if ready is None or age >= AGAIN:
        return None
    return CacheLookup(b"", CacheHit(ready.kept, ready.watermark, ready.now + int(age * 1000)))


def forget_given() -> None:
    """Look for every answer anew."""
    _given.clear()


def keep(look: CacheLookup, question: str, series: Series, etag: str, parts: Sequence[bytes]) -> None:
    """Keep an answer that was read after the look. A cache that is away costs the next reader a read, no more."""
    if sum(map(len, parts)) > LARGEST:
        return
    watermark = "" if series.watermark is None else micros_of(series.watermark) // 1000
    shown = (series.series_id, series.version, watermark, micros_of(series.server_time) // 1000)
    try:
        _KEEP((_key(series.market, question),), LIFETIME, *shown, look.clock, etag, *parts, KEPT)
    except RedisError:
        return


def _key(symbol: str, question: str) -> str:
    return f"ck:answer:{symbol}:{question}"


def _told(found: list[Any], symbol: str, question: str, seen: CachedAnswer | None) -> CacheLookup:
    clock, *rest = found
    if not rest:
        return CacheLookup(clock)  # to be made
    state, watermark, now, name, *parts = rest
    kept = _remember(symbol, question, name, parts) if parts else seen
    if kept is None:
        return CacheLookup(clock)
    if state == UNCONFIRMED:
        return CacheLookup(clock, unconfirmed=kept)
    return CacheLookup(clock, CacheHit(kept, _whole(watermark), int(now)))


def _remember(symbol: str, question: str, name: bytes, parts: Sequence[bytes]) -> CachedAnswer:
    """Keep the parts in this process; the answers it got first make room."""
    series, version, watermark, now, etag, *text = parts
    kept = CachedAnswer(series.decode(), int(version), _whole(watermark), int(now), name, etag.decode(), *text)
    if (symbol, question) not in _seen and len(_seen) >= KEPT:
        oldest = next(iter(_seen))
        _seen.pop(oldest, None)
        _given.pop(oldest, None)
    _seen[symbol, question] = kept
    return kept


def _whole(text: bytes) -> int | None:
    return int(text) if text else None


def _minute(ms: int | None) -> int | None:
    return None if ms is None else ms // MINUTE
