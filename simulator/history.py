"""REST candles of any source: past buckets from its sums, the newest from the trades known when it was cached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from simulator.numerals import as_float, as_sent
from simulator.trades import MAX_DISCOVERY_DELAY_NS, MINUTE_NS, SECOND_NS, Bar, Source, join, roll_up


@dataclass(frozen=True, slots=True)
class Period:
    """One of the provider's candle lengths in seconds, its default number of rows, and its cache's age in seconds."""

    seconds: int
    default_limit: int
    cache_age: int


PERIODS = {"minute": Period(60, 1440, 40), "hour": Period(3600, 168, 610), "day": Period(86400, 30, 610)}


class History:
    """A source as it was known at one time (nanoseconds), without the trades discovered later."""

    def __init__(self, source: Source, cut: int) -> None:
        """Take `source` as it was known at `cut`."""
        self._source, self._cut = source, cut

    def rows(self, period: Period, last: int, count: int) -> list[str]:
        """Return `count` rows as JSON, oldest first; the last one starts at `last` (seconds)."""
        first = max(0, last - (count - 1) * period.seconds)
        close = self._close_before(first // 60)
        found = []
        for start in range(first, last + 1, period.seconds):
            if (start + period.seconds) * SECOND_NS + MAX_DISCOVERY_DELAY_NS <= self._cut:
                whole = {60: self._source.bar, 3600: self._source.hour, 86400: self._source.day}[period.seconds]
                bar = whole(start // period.seconds)
            else:
                bar = join(self._known(minute) for minute in range(start // 60, (start + period.seconds) // 60))

            found.append(self._row(start, bar, close))
            close = bar.close if bar else close
        return found

    def _row(self, start: int, bar: Bar | None, before: int | None) -> str:
        """Return a row; as at the provider, it opens at the close before. No trades: flat, or zero before listing."""
        flat = before or 0
        high, low, close = (bar.high, bar.low, bar.close) if bar else (flat, flat, flat)
        opened = before if before is not None else (bar.first if bar else 0)
        price = self._source.price_places
        return (
            f'{{"time":{start},"high":{as_sent(high, price)},"low":{as_sent(low, price)},'
            f'"open":{as_sent(opened, price)},'
            f'"volumefrom":{as_float(bar.volume, self._source.amount_places) if bar else 0},'
            f'"volumeto":{as_float(bar.quote_volume, price + self._source.amount_places) if bar else 0},'
            f'"close":{as_sent(close, price)},"conversionType":"direct","conversionSymbol":""}}'
        )

    def _known(self, minute: int) -> Bar | None:
        """Return the bar of the trades known of one minute."""
        if minute < self._settled:
            return self._source.bar(minute)
        if minute * MINUTE_NS > self._cut:
            return None
        return roll_up(trade for trade in self._source.trades(minute) if trade.rts <= self._cut)

    def _close_before(self, minute: int) -> int | None:
        at = self._source.traded_before(minute)
        while at is not None:
            bar = self._known(at)
            if bar:
                return bar.close
            at = self._source.traded_before(at)
        return None

    @cached_property
    def _settled(self) -> int:
        """Return the first minute that late trades may still change."""
        return (self._cut - MAX_DISCOVERY_DELAY_NS) // MINUTE_NS
