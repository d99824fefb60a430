"""How often the provider may be called, shared between all processes through Valkey.

Sliding windows over the calls themselves, by Valkey's clock: whenever the provider's own windows begin, none of them
ever holds more calls than its limit. Keys `ck:budget:<name>:calls` (time of each call, microseconds) and
`ck:budget:<name>:pause`. A Valkey that lost them begins with a full quota; then the
provider's own answers count.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django_redis import get_redis_connection

MAX_PAUSE_S = 86_400.0

# A call is allowed once the limit-th newest one is a whole window old; in every window.
_TAKE_LUA = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wait, longest = redis.call('PTTL', KEYS[2]) * 1000, 0
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
_COUNT_LUA = """
local time = redis.call('TIME')
local now, found = time[1] * 1000000 + time[2], {}
for i = 1, #ARGV do
  local since = string.format('(%.0f', now - tonumber(ARGV[i]) * 1000000)
  found[i] = redis.call('ZCOUNT', KEYS[1], since, '+inf')
end
return found
"""


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


def configured_windows() -> tuple[Window, ...]:
    """Return the limits of the settings PROVIDER_CALLS_PER_…"""
    return (
        Window("second", 1, settings.PROVIDER_CALLS_PER_SECOND),
        Window("minute", 60, settings.PROVIDER_CALLS_PER_MINUTE),
        Window("hour", 3600, settings.PROVIDER_CALLS_PER_HOUR),
        Window("day", 86_400, settings.PROVIDER_CALLS_PER_DAY),
    )


class ProviderQuota:
    """The quota of one provider; every method may raise RedisError."""

    def __init__(self, name: str = "history", windows: tuple[Window, ...] | None = None) -> None:
        """Share the quota of this name; its windows are the configured ones unless given."""
        self._windows = configured_windows() if windows is None else windows
        self._calls, self._pause = f"ck:budget:{name}:calls", f"ck:budget:{name}:pause"

    def take(self) -> float:
        """Take one call and return 0, or take none and return the seconds until one may be free."""
        limits = [str(part) for window in self._windows for part in (window.seconds, window.limit)]
        client = get_redis_connection("default")
        return int(client.eval(_TAKE_LUA, 2, self._calls, self._pause, uuid.uuid4().hex, *limits)) / 1_000_000

    def pause(self, seconds: float, reason: str = "rate limited") -> None:
        """Allow no call for so many seconds, a day at most: by then a call shows whether the plan was changed."""
        client = get_redis_connection("default")
        millis = max(1, round(min(seconds, MAX_PAUSE_S) * 1000))
        if client.pttl(self._pause) < millis:
            client.set(self._pause, reason, px=millis)

    def pause_reason(self) -> str | None:
        """Return why the provider is not called now, None if no pause is on."""
        reason = get_redis_connection("default").get(self._pause)
        return None if reason is None else reason.decode()

    def remaining(self) -> dict[str, QuotaLeft]:
        """Return what each window still allows, by its name."""
        spans = [str(window.seconds) for window in self._windows]
        counts = get_redis_connection("default").eval(_COUNT_LUA, 1, self._calls, *spans)
        return {
            window.name: QuotaLeft(max(0, window.limit - calls), window.limit)
            for window, calls in zip(self._windows, counts, strict=True)
        }
