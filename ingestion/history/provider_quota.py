"""How often the provider may be called, shared between all processes through Valkey.

Sliding windows over the calls themselves, by Valkey's steady time: whenever the provider's own windows begin, none of
them ever holds more calls, or more weight, than its limit. Keys `ck:budget:<name>:calls` (time of each call,
microseconds), `ck:budget:<name>:weights` (time of each unit of weight) and `ck:budget:<name>:pause`. A Valkey that lost
them begins with a full quota; then the provider's own answers count.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django_redis import get_redis_connection

from datastore.access.lua_scripts import STEADY
from datastore.reference.call_limits import WINDOW_NAMES, calls_allowed
from datastore.reference.traits import Traits

Read = Callable[[Any], Any]  # of a client of Valkey
MAX_PAUSE_S = 86_400.0
MAX_BAN_S = 259_200.0  # a call before its end makes a ban longer, so it is waited for to its end
# A call reaches the provider some time after it was counted: one full minute here could be two halves of its own.
WEIGHT_SLACK_S = 2

# Microseconds for which a key pauses all calls: it holds when the pause began, how long it is, and why.
PAUSED = """
local function paused(key, now)
  local began, length = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) ')
  if not began or tonumber(began) > now + 100000 then return 0 end
  return math.min(math.max(began + length - now, 0), tonumber(length))
end
"""
# Stamps of the future are of another server's time: they count as made now, so that no one waits longer than a window.
REBASE = """
local function rebase(key, now)
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, string.format('(%.0f', now), '+inf')) do
    redis.call('ZADD', key, string.format('%.0f', now), one)
  end
end
local function add(key, now, id, count)
  for unit = 1, count do redis.call('ZADD', key, string.format('%.0f', now), id .. ':' .. unit) end
end
local function forget(key, now, length)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - length))
  redis.call('PEXPIRE', key, string.format('%.0f', length / 1000))
end
"""
# KEYS: calls, weights, pause. ARGV: an id, the call's weight, then of each window its key's place, length and limit. A
# call of weight w is allowed once the (limit - w + 1)-th newest unit is a whole window old; in every window.
_TAKE_LUA = (
    STEADY
    + PAUSED
    + REBASE
    + """
local now, weight = steady(), tonumber(ARGV[2])
local wait, costs, longest = paused(KEYS[3], now), {1, weight}, {0, 0}
for place = 1, 2 do rebase(KEYS[place], now) end
for i = 3, #ARGV, 3 do
  local place, length, limit = tonumber(ARGV[i]), tonumber(ARGV[i + 1]) * 1000000, tonumber(ARGV[i + 2])
  local last = math.max(limit - costs[place], 0)
  local oldest = redis.call('ZREVRANGE', KEYS[place], last, last, 'WITHSCORES')[2]
  wait = math.max(wait, oldest and oldest + length - now or 0)
  longest[place] = math.max(longest[place], length)
end
if wait > 0 then return wait end
for place = 1, 2 do
  if longest[place] > 0 then
    add(KEYS[place], now, ARGV[1], costs[place])
    forget(KEYS[place], now, longest[place])
  end
end
return 0
"""
)
# KEYS: weights. ARGV: an id, the weight that the provider counts, and the length of its window and of the longest one.
_BELIEVE_LUA = (
    STEADY
    + REBASE
    + """
local now = steady()
rebase(KEYS[1], now)
local since = string.format('(%.0f', now - tonumber(ARGV[3]) * 1000000)
local others = tonumber(ARGV[2]) - redis.call('ZCOUNT', KEYS[1], since, '+inf')
if others <= 0 then return 0 end
add(KEYS[1], now, ARGV[1], others)
forget(KEYS[1], now, tonumber(ARGV[4]) * 1000000)
return others
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
for i = 1, #ARGV, 2 do
  local since = string.format('(%.0f', now - tonumber(ARGV[i + 1]) * 1000000)
  found[#found + 1] = redis.call('ZCOUNT', KEYS[tonumber(ARGV[i])], since, '+inf')
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` within any so many seconds: calls, or if `weighs`, their weights."""

    name: str
    seconds: int
    limit: int
    weighs: bool = False

    @property
    def kept(self) -> int:
        """Return the seconds for which what is taken counts."""
        return self.seconds + WEIGHT_SLACK_S * self.weighs

    @property
    def place(self) -> int:
        """Return which of the scripts' keys counts it."""
        return 2 if self.weighs else 1


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """What a window still allows."""

    calls: int
    limit: int


def configured_windows(provider: Traits) -> tuple[Window, ...]:
    """Return the provider's limits, or what the settings PROVIDER_CALLS_PER_… have instead; the shortest first.

    Those of weights come last.
    """
    weights = sorted(provider.limits.weights, key=lambda window: window.seconds)
    return (
        *(Window(_window_name(length), length, limit) for length, limit in calls_allowed(provider).items()),
        *(Window(f"{_window_name(one.seconds)} (weight)", one.seconds, one.limit, weighs=True) for one in weights),
    )


def _window_name(seconds: int) -> str:
    return WINDOW_NAMES.get(seconds, f"{seconds // 60} minutes" if seconds > 60 else f"{seconds} s")


def _patiently(read: Read) -> Any:
    return read(get_redis_connection("default"))


def quota_of(provider: Traits, ask: Callable[[Read], Any] = _patiently) -> ProviderQuota:
    """Return the quota that all processes share of this provider; ask: runs what reads it with a client of Valkey."""
    return ProviderQuota(provider.limits.counted_as or provider.name, configured_windows(provider), ask)


class ProviderQuota:
    """The quota of one provider; every method may raise RedisError."""

    def __init__(self, name: str, windows: tuple[Window, ...], ask: Callable[[Read], Any] = _patiently) -> None:
        """Share the quota of this name."""
        self._windows, self._ask = windows, ask
        self._weighing = [window for window in windows if window.weighs]
        self._counted = [f"ck:budget:{name}:calls", f"ck:budget:{name}:weights"]
        self._pause = f"ck:budget:{name}:pause"

    def take(self, weight: int = 1) -> float:
        """Take one call of this weight and return 0, or take none and return the seconds until one may be free."""
        limits = [str(part) for window in self._windows for part in (window.place, window.kept, window.limit)]
        keys = [*self._counted, self._pause]
        client = get_redis_connection("default")
        return int(client.eval(_TAKE_LUA, len(keys), *keys, uuid.uuid4().hex, weight, *limits)) / 1_000_000

    def believe(self, used: int) -> int:
        """Take what the provider says is used of its shortest window of weights; return how much of it is new to us.

        It is more than ours if other programs call from the same address, or if Valkey lost our count.
        """
        if not self._weighing:
            return 0
        shortest, longest = self._weighing[0], self._weighing[-1]
        values = (uuid.uuid4().hex, min(used, shortest.limit), shortest.kept, longest.kept)
        return int(get_redis_connection("default").eval(_BELIEVE_LUA, 1, self._counted[1], *values))

    def pause(self, seconds: float, reason: str = "rate limited", most: float = MAX_PAUSE_S) -> None:
        """Allow no call for so many seconds, a day at most by default: a call then shows if the plan changed."""
        millis = max(1, round(min(seconds, most) * 1000))
        get_redis_connection("default").eval(_PAUSE_LUA, 1, self._pause, millis, reason)

    def pause_reason(self) -> str | None:
        """Return why the provider is not called now, None if no pause is on."""
        value = self._ask(lambda client: client.get(self._pause))
        return None if value is None else value.decode().split(" ", 2)[2]

    def remaining(self) -> dict[str, QuotaLeft]:
        """Return what each window still allows, by its name."""
        spans = [str(part) for window in self._windows for part in (window.place, window.kept)]
        counts = self._ask(lambda client: client.eval(_COUNT_LUA, 2, *self._counted, *spans))
        return {
            window.name: QuotaLeft(max(0, window.limit - calls), window.limit)
            for window, calls in zip(self._windows, counts, strict=True)
        }
