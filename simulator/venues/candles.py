"""A venue's candles of any length in minutes: of the trades up to now, the running one with those that it has."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from simulator.trades import MINUTE_NS, Bar, Source, Trade, join, roll_up


class Candle(NamedTuple):
    """One bucket: its start in seconds, its bar (None: no trades), the close before it (None: no trades before)."""

    start: int
    bar: Bar | None
    before: int | None

    @property
    def prices(self) -> tuple[int, int, int, int] | None:
        """Return open, high, low and close: flat at the close before if nothing was traded; None before the first."""
        if self.bar:
            return self.bar.first, self.bar.high, self.bar.low, self.bar.close
        return None if self.before is None else (self.before,) * 4


def candles(source: Source, seconds: int, starts: range, now: int) -> list[Candle]:
    """Return the buckets that begin at `starts` (seconds, rising) as they are known at `now` (ns)."""
    if not starts:
        return []
    found: list[Candle] = []
    traded = source.traded_before(starts[0] // 60)
    before = None if traded is None else source.bar(traded)
    close = before.close if before else None
    for start in starts:
        bar = bar_of(source, start, seconds, now)
        found.append(Candle(start, bar, close))
        close = bar.close if bar else close
    return found


def bar_of(source: Source, start: int, seconds: int, now: int) -> Bar | None:
    """Return the bar of [start, start + seconds) as it is known at `now` (ns), None without trades."""
    minute, stop = start // 60, (start + seconds) // 60
    running = (now + 1) // MINUTE_NS  # the first minute that may still get trades
    if stop <= running:
        return _whole(source, minute, stop)
    return join((_whole(source, minute, running), roll_up(part_of(source, running, now))))


def part_of(source: Source, minute: int, now: int) -> list[Trade]:
    """Return a minute's trades up to a time (ns), which is included."""
    return source.part(minute, 0, bisect_right(source.stamps(minute), now - minute * MINUTE_NS))


def _whole(source: Source, minute: int, stop: int) -> Bar | None:
    """Return the bar of whole minutes, from the sums of hours and days where it can."""
    bars: list[Bar | None] = []
    while minute < stop:
        if minute % 1440 == 0 and minute + 1440 <= stop:
            bars.append(source.day(minute // 1440))
            minute += 1440
        elif minute % 60 == 0 and minute + 60 <= stop:
            bars.append(source.hour(minute // 60))
            minute += 60
        else:
            bars.append(source.bar(minute))
            minute += 1
    return join(bars)


def bucket_start(at: int, seconds: int, offset: int = 0) -> int:
    """Return the start of the bucket that holds a time (seconds); buckets are counted from `offset`."""
    return (at - offset) // seconds * seconds + offset
