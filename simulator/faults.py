"""Faults on demand: when each ends, in the simulator's time, and what a subscription starts with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulator.malformed import MalformedKind

DEFAULT_REPLAY = 20
ReplayCount = int | Literal["bridge"]
PeriodName = Literal["minute", "hour", "day"]
WindowName = Literal["second", "minute", "hour", "day", "month"]


@dataclass(frozen=True, slots=True)
class RestFault:
    """What REST answers instead of candles until a time (ns); period, market: only those candles, None: every call."""

    until: int = 0
    period: PeriodName | None = None
    status: int = 503
    kind: MalformedKind = "text"
    market: str | None = None

    def applies(self, now: int, path: str, market: str | None = None) -> bool:
        """Return whether a call gets this fault; a fault of one period or market leaves all others alone."""
        if now >= self.until or self.market not in (None, market):
            return False
        return self.period is None or path.endswith(f"histo{self.period}")


@dataclass(frozen=True, slots=True)
class StampFault:
    """How far the stamps of heartbeats are off until a time (ns); trades keep theirs."""

    until: int = 0
    offset: int = 0  # ns

    def at(self, now: int) -> int:
        """Return the stamp that is sent now."""
        return now + self.offset if now < self.until else now


@dataclass(slots=True)
class Faults:
    """Which faults are on; times in nanoseconds of the simulator's clock, 0 = off."""

    refusing_until: int = 0
    silent_until: int = 0
    unauthorized_until: int = 0
    error: RestFault = RestFault()
    malformed: RestFault = RestFault()
    rate_limited_until: int = 0
    used_up: WindowName | None = None  # what the rate limit says has no call left
    replay: ReplayCount = DEFAULT_REPLAY
    unlisted_until: dict[str, int] = field(default_factory=dict)  # by market
    same_ids: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # by market, see `shares_id`
    lose: dict[str, int] = field(default_factory=dict)  # by market: how many of its next trades no socket gets
    stamps: StampFault = StampFault()

    def shares_id(self, market: str, discovered: int) -> bool:
        """Return whether a trade is sent with the id "0": one discovered in such a time is, in every replay."""
        return any(since <= discovered < until for since, until in self.same_ids.get(market, ()))

    def clear(self, now: int) -> None:
        """Turn every fault off."""
        self.refusing_until = self.silent_until = self.unauthorized_until = 0
        self.rate_limited_until, self.used_up = 0, None
        self.error = self.malformed = RestFault()
        self.replay = DEFAULT_REPLAY
        self.unlisted_until.clear()
        for market, times in self.same_ids.items():
            self.same_ids[market] = [(since, min(until, now)) for since, until in times]
        self.lose.clear()
        self.stamps = StampFault()
