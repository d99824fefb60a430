"""Cached answers to common questions, valid while a fresh read would give the same bytes.

In Valkey under `ck:answer:<symbol>:<question>`: a hash of what the answer shows (series, version, watermark and now in
ms), `read` (Valkey's steady time before the rows were read) and its parts; `ck:answers` names them all, the oldest
first, so that they never fill the memory that streams need. Each process keeps the parts it has seen, named by read and
version, so that a lookup transfers bytes only if they are new to it. An answer is given

1. if its market was confirmed within two seconds (market_cache.py): one lookup, no database. It shows the confirmed
   version, and watermark and provider's time are in the same minute, so no bucket began or was closed since. While one
   reader makes a newer answer, the others get this one, at most a second old;
2. if its market was not: after a look at the market's row, and only if it shows exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any

from cachetools import LRUCache
from redis.exceptions import RedisError

from datastore.access.lua_scripts import Script
from datastore.access.rate_limits import TAKE, Bucket, RateLimitResult, take
from datastore.api.responses.series_body import MINUTE_MS, BodyParts
from datastore.ingest.market_cache import cached_head, market_key
from datastore.models import Market
from datastore.series.reader import Series
from datastore.timeframes.intervals import micros_of

CONFIRMATION_LIFETIME_US = 1_950_000  # for which a version is believed after its confirmation
REUSE_S = 0.02  # for which a process repeats an answer without a lookup: with the above, it is 2 s old at most
REFRESH_LOCK_MS = 250  # that one reader has to make a newer answer while others get the one before
MAX_LAG_US = 1_000_000  # how old that one may be
MAX_ANSWERS, ANSWER_LIFETIME_MS = 256, 120_000
MAX_ANSWER_BYTES = 256 * 1024  # larger ones are not worth keeping
UNCONFIRMED = b"unconfirmed"

# With a third key, the client's bucket, its turn is taken in the same round trip (rate_limits.py).
_LOOKUP = Script(
    TAKE
    + """
local turn = KEYS[3] and {take(KEYS[3], ARGV[5], ARGV[6], ARGV[7])} or false
if turn and turn[1] == 0 then return {turn} end
local clock = steady()
local market = redis.call('HMGET', KEYS[1], 'series', 'version', 'watermark', 'now', 'confirmed')
local answer = redis.call('HMGET', KEYS[2], 'series', 'version', 'watermark', 'now', 'read')
local function minute(text) return math.floor((tonumber(text) or -1) / 60000) end
local function found_answer(state, watermark, now)
  local name = answer[5] and answer[5] .. ':' .. answer[2]
  local found = {turn, string.format('%.0f', clock), state, watermark, now, name}
  if name and name ~= ARGV[4] then
    local parts = redis.call('HMGET', KEYS[2], 'etag', 'before', 'between', 'after')
    for i, value in ipairs({answer[1], answer[2], answer[3], answer[4], unpack(parts)}) do found[6 + i] = value end
  end
  return found
end
if not market[5] or clock - market[5] > tonumber(ARGV[1]) then
  return found_answer('unconfirmed', answer[3], answer[4])
end
local now = string.format('%.0f', math.floor(market[4] + (clock - market[5]) / 1000))
if answer[1] == market[1] and answer[2] == market[2] and minute(answer[3]) == minute(market[3])
    and minute(answer[4]) == minute(now) then
  return found_answer('hit', market[3], now)
end
local shown = answer[1] == market[1] and clock - answer[5] <= tonumber(ARGV[3])
if not shown or redis.call('SET', KEYS[2] .. ':making', '1', 'NX', 'PX', ARGV[2]) then
  return {turn, string.format('%.0f', clock)}
end
return found_answer('hit', answer[3], answer[4])
"""
)
# Readers may finish out of order: what was read earlier, or shows an older version, stays outside.
_STORE = Script("""
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
# By symbol and question: what this process has seen, and when it gave it last after a lookup (monotonic). Threads share
# both under the lock, since even a look moves an entry to the end of the line.
_seen: LRUCache[tuple[str, str], CachedAnswer] = LRUCache(MAX_ANSWERS)
_given: LRUCache[tuple[str, str], tuple[float, CacheHit]] = LRUCache(MAX_ANSWERS)
_lock = Lock()


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer's bytes without what changes from one second to the next: its times, and the cursor made of them."""

    series: str
    version: int
    watermark: int | None  # ms
    now: int  # ms, the provider's time
    name: bytes
    etag: str
    parts: BodyParts


@dataclass(frozen=True, slots=True)
class CacheHit:
    """An answer to be given, with the times that it is to show (ms)."""

    kept: CachedAnswer
    watermark: int | None
    now: int


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What the cache knows of a question; clock: Valkey's steady time (µs), before anything is read, for keep()."""

    clock: bytes
    hit: CacheHit | None = None  # may be given as it is
    unconfirmed: CachedAnswer | None = None

    def still_valid(self, market: Market) -> CacheHit | None:
        """Return the unconfirmed answer as it is to be given now, None unless the market's row shows just the same."""
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
    """Return what is cached of a question (None: Valkey is away), and the turn that was taken from the bucket.

    1. A turn taken ahead and an answer given within REUSE_S need no round trip.
    2. Else one round trip brings both; if the turn is refused nothing is looked for.
    """
    turn = bucket.take_leased() if bucket else None
    with _lock:
        at, given = _given.get((symbol, question)) or (0.0, None)
        seen = _seen.get((symbol, question))
    age = monotonic() - at
    if given is not None and age < REUSE_S:
        if bucket and turn is None:
            turn = take(bucket)
        return CacheLookup(b"", CacheHit(given.kept, given.watermark, given.now + int(age * 1000))), turn

    keys = [market_key(symbol), f"ck:answer:{symbol}:{question}"]
    values: list[Any] = [CONFIRMATION_LIFETIME_US, REFRESH_LOCK_MS, MAX_LAG_US, seen.name if seen else b""]
    if bucket and turn is None:
        keys.append(bucket.key)
        values += bucket.capacity, bucket.per_second, bucket.many
    try:
        taken, *found = _LOOKUP(keys, *values)
    except RedisError:
        return None, turn
    if bucket and taken:
        turn = bucket.result_of(taken)
    if not found:
        return None, turn

    clock, *rest = found
    if not rest:
        return CacheLookup(clock), turn  # to be made
    state, watermark, now, name, *new = rest
    if new:  # to this process
        series, version, mark, at_its_time, etag, *parts = new
        times = int(mark) if mark else None, int(at_its_time)
        seen = CachedAnswer(series.decode(), int(version), *times, name, etag.decode(), BodyParts(*parts))
    if seen is None:
        return CacheLookup(clock), turn
    hit = None if state == UNCONFIRMED else CacheHit(seen, int(watermark) if watermark else None, int(now))
    with _lock:
        if new:
            _seen[symbol, question] = seen
        if hit:
            _given[symbol, question] = monotonic(), hit
    return CacheLookup(clock, hit, None if hit else seen), turn


def forget_recent() -> None:
    """Look every answer up again, however recently it was given."""
    with _lock:
        _given.clear()


def keep(lookup: CacheLookup, question: str, series: Series, etag: str, parts: Sequence[bytes]) -> None:
    """Store an answer that was read after the lookup. If Valkey is away, the next reader reads again, no more."""
    if sum(map(len, parts)) > MAX_ANSWER_BYTES:
        return
    watermark = "" if series.watermark is None else micros_of(series.watermark) // 1000
    shown = (series.series_id, series.version, watermark, micros_of(series.server_time) // 1000)
    key = f"ck:answer:{series.market}:{question}"
    try:
        _STORE((key,), ANSWER_LIFETIME_MS, *shown, lookup.clock, etag, *parts, MAX_ANSWERS)
    except RedisError:
        return


def _minute(ms: int | None) -> int | None:
    return None if ms is None else ms // MINUTE_MS
