"""How often the provider may be called, shared between all processes through Valkey.

Sliding windows over the calls themselves, by Valkey's steady time: whenever the provider's own windows begin, none of
them ever holds more calls than its limit. Keys `ck:budget:<name>:calls` (time of each call, microseconds) and
`ck:budget:<name>:pause`. A Valkey that lost them begins with a full quota; then the
provider's own answers count.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django_redis import get_redis_connection

from datastore.access.lua_scripts import STEADY
from datastore.reference.traits import Traits

MAX_PAUSE_S = 86_400.0

# Microseconds for which a key pauses all calls: it holds when the pause began, how long it is, and why.
PAUSED = """
local function paused(key, now)
  local began, length = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) ')
  if not began or tonumber(began) > now + 100000 then return 0 end
  return math.min(math.max(began + length - now, 0), tonumber(length))
end
"""
# A call is allowed once the limit-th newest one is a whole window old; in every window. Calls of the future are of
# another server's time: they count as made now, so that no one waits longer than a window.
_TAKE_LUA = (
    STEADY
    + PAUSED
    + """
local now = steady()
for _, call in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), call)
end
local wait, longest = paused(KEYS[2], now), 0
for i = 2, #ARGV, 2 do
  local length, limit = tonumber(ARGV[i]) * 1000000, tonumber(ARGV[i + 1])
  local oldest = redis.call('ZREVRANGE', KEYS[1], limit - 1, limit - 1, 'WITHSCORES')[2]
  wait, longest = math.max(wait, oldest and oldest + length - now or 0), math.max(longest, length)
end
if wait > 0 then return wait end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', longest / 1000))
return 0
"""
)
_PAUSE_LUA = (
    STEADY
    + PAUSED
    + """
local now, length = steady(), tonumber(ARGV[1]) * 1000
if paused(KEYS[1], now) < length then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %s', now, length, ARGV[2]), 'PX', ARGV[1])
end
"""
)
_COUNT_LUA = (
    STEADY
    + """
local now, found = steady(), {}
for i = 1, #ARGV do
  local since = string.format('(%.0f', now - tonumber(ARGV[i]) * 1000000)
  found[i] = redis.call('ZCOUNT', KEYS[1], since, '+inf')
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` calls within any so many seconds."""

    name: str
    seconds: int
    limit: int


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """What a window still allows."""

    calls: int
    limit: int


WINDOW_NAMES = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}  # by length in seconds


def configured_windows(provider: Traits) -> tuple[Window, ...]:
    """Return the provider's limits, or what the settings PROVIDER_CALLS_PER_… have instead; the shortest first."""
    limits = {window.seconds: window.limit for window in provider.limits.calls}
    for seconds, name in WINDOW_NAMES.items():
        if given := getattr(settings, f"PROVIDER_CALLS_PER_{name.upper()}"):
            limits[seconds] = given
    return tuple(Window(_window_name(length), length, limits[length]) for length in sorted(limits))


def _window_name(seconds: int) -> str:
    return WINDOW_NAMES.get(seconds, f"{seconds // 60} minutes" if seconds > 60 else f"{seconds} s")


def quota_of(provider: Traits) -> ProviderQuota:
    """Return the quota that all processes share of this provider."""
    return ProviderQuota(provider.limits.counted_as or provider.name, configured_windows(provider))


class ProviderQuota:
    """The quota of one provider; every method may raise RedisError."""

    def __init__(self, name: str, windows: tuple[Window, ...]) -> None:
        """Share the quota of this name."""
        self._windows = windows
        self._calls, self._pause = f"ck:budget:{name}:calls", f"ck:budget:{name}:pause"

    def take(self) -> float:
        """Take one call and return 0, or take none and return the seconds until one may be free."""
        limits = [str(part) for window in self._windows for part in (window.seconds, window.limit)]
        client = get_redis_connection("default")
        return int(client.eval(_TAKE_LUA, 2, self._calls, self._pause, uuid.uuid4().hex, *limits)) / 1_000_000

    def pause(self, seconds: float, reason: str = "rate limited") -> None:
        """Allow no call for so many seconds, a day at most: by then a call shows whether the plan was changed."""
        millis = max(1, round(min(seconds, MAX_PAUSE_S) * 1000))
        get_redis_connection("default").eval(_PAUSE_LUA, 1, self._pause, millis, reason)

    def pause_reason(self) -> str | None:
        """Return why the provider is not called now, None if no pause is on."""
        value = get_redis_connection("default").get(self._pause)
        return None if value is None else value.decode().split(" ", 2)[2]

    def remaining(self) -> dict[str, QuotaLeft]:
        """Return what each window still allows, by its name."""
        spans = [str(window.seconds) for window in self._windows]
        counts = get_redis_connection("default").eval(_COUNT_LUA, 1, self._calls, *spans)
        return {
            window.name: QuotaLeft(max(0, window.limit - calls), window.limit)
            for window, calls in zip(self._windows, counts, strict=True)
        }
