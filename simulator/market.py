"""A generated market: every minute's trades and candle depend only on (seed, market, minute)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from operator import add, mul
from random import Random
from typing import NamedTuple

from simulator.days import join_plans, rests, sum_of_rounding
from simulator.numbering import HourlyNumbering, Numbering
from simulator.numerals import as_sent
from simulator.pairs import VENUES, Pair
from simulator.shapes import PLAN_COUNT, Plan, PlanSums, Shape, add_up, draw_plan, draw_shape, draw_shapes, trade_counts
from simulator.trades import MINUTE_NS, SECOND_NS, Bar, Trade, join

AMOUNT_PLACES = 8
# The price's waves, from an hour to half a year: number, length in hours, height.
WAVES = [(octave, 1 << octave, 0.004 * math.sqrt(1 << octave)) for octave in range(13)]
LISTED_SINCE_HOUR = 420_768  # 2018-01-01, in hours since 1970; no trades before
PRICES_USD = {
    "BTC": 100_000.0, "XBT": 100_000.0, "ETH": 3_500.0, "SOL": 150.0, "LTC": 90.0, "XRP": 0.6, "ADA": 0.5, "DOGE": 0.15,
    "USD": 1.0, "USDT": 1.0, "USDC": 1.0, "EUR": 1.1, "GBP": 1.3, "JPY": 0.007,
}  # fmt: skip
TRADES_PER_MINUTE = {"BTC": 200.0, "ETH": 150.0, "SOL": 60.0, "XRP": 30.0}  # of the others: the default
DEFAULT_TRADES_PER_MINUTE = 3.0


EMPTY = draw_shape(Random(), VENUES["coinbase"], count=0, step=1, size=1)


class DiscoveryOrder(NamedTuple):
    """What is discovered in one minute, in order: the number of the first trade, arrival times, (minute, place)."""

    first: int
    arrivals: list[int]
    trades: list[tuple[int, int]]

    def numbered(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield each trade with its number among all that the provider ever discovered."""
        return enumerate(self.trades, start=self.first)


class Hour(NamedTuple):
    """A plan applied to the market's price: the base price of each minute, in ticks."""

    plan: Plan
    sums: PlanSums | None
    bases: list[int]


class Market:
    """One market's trades for all time; prices in ticks of 10**-price_places, amounts in 10**-8."""

    def __init__(self, pair: Pair, seed: int, rate: float | None = None, listed: int = LISTED_SINCE_HOUR) -> None:
        """Prepare the patterns; `rate` is trades per second, by default the base currency's own."""
        self.pair, self.listed = pair, listed
        self.amount_places = AMOUNT_PLACES
        self._name = f"{seed}/{pair}"
        dollars = PRICES_USD.get(pair.base, 1.0 + self._draw("price") % 2000 / 100)
        price = dollars / PRICES_USD.get(pair.quote, 1.0)
        self.price_places = max(2, 5 - math.floor(math.log10(price)))
        self._price: float = price * 10**self.price_places
        per_minute = TRADES_PER_MINUTE.get(pair.base, DEFAULT_TRADES_PER_MINUTE) if rate is None else rate * 60
        step, size = max(1, round(self._price * 4e-5)), max(1, int(10**AMOUNT_PLACES * 20 / dollars))
        self._shapes = draw_shapes(f"{self._name}/shape", self.pair.venue, trade_counts(per_minute), step, size)
        self._plans = [draw_plan(Random(f"{self._name}/plan/{i}"), self._shapes) for i in range(PLAN_COUNT)]
        self._sums = [add_up(plan, self._shapes) for plan in self._plans]
        first = self._plans[0]
        self.numbers: Numbering = HourlyNumbering(listed, first.before[60], lambda hour: self._hour(hour).plan.before)
        self.aggregate_numbers: Numbering = HourlyNumbering(
            listed, first.aggregates_before[60], lambda hour: self._hour(hour).plan.aggregates_before
        )
        self._first_id, self._first_ccseq = 10**8 + self._draw("id") % 10**9, 10**8 + self._draw("ccseq") % 10**9
        self._lattice = lru_cache(maxsize=5_000)(self._draw_lattice)  # neighbours are asked for one after another
        self._hour_price = lru_cache(maxsize=512)(self._draw_hour_price)
        self._hour = lru_cache(maxsize=512)(self._planned_hour)
        self._rounding = cache(lambda number, rest: sum_of_rounding(self._sums[number], rest))
        self._order = lru_cache(maxsize=8)(self._discovery_order)
        self._rolled_hour = lru_cache(maxsize=50_000)(self._roll_up_hour)
        self._rolled_day = lru_cache(maxsize=5_000)(self._roll_up_day)

    def bar(self, minute: int) -> Bar | None:
        """Return a minute's bar without generating its trades: the patterns know their sums."""
        if minute < self.listed * 60:
            return None
        at = minute % 60
        plan, _, bases = self._hour(minute // 60)
        shape, base, factor = self._shapes[plan.shapes[at]], bases[at], plan.factors[at]
        if not shape.steps:
            return None
        return Bar(
            first=base + shape.steps[0],
            high=base + shape.high,
            low=base + shape.low,
            close=base + shape.steps[-1],
            volume=factor * shape.volume,
            quote_volume=factor * (base * shape.volume + shape.weighted),
            trades=len(shape.steps),
        )

    def hour(self, hour: int) -> Bar | None:
        """Return the bar of a whole hour."""
        return None if hour < self.listed else self._rolled_hour(hour)

    def day(self, day: int) -> Bar | None:
        """Return the bar of a whole day."""
        return None if (day + 1) * 24 <= self.listed else self._rolled_day(day)

    def trades(self, minute: int) -> list[Trade]:
        """Return a minute's trades in the exchange's order."""
        orders = (self._order(minute), self._order(minute + 1))
        found = [(i, number) for order in orders for number, (at, i) in order.numbered() if at == minute]
        return [self._trade(minute, i, number) for i, number in sorted(found)]

    def between(self, after: int, until: int) -> list[Trade]:
        """Return the trades discovered in (after, until], in the order of their discovery."""
        return [
            self._trade(minute, i, order.first + position)
            for order in map(self._order, range((after + 1) // MINUTE_NS, until // MINUTE_NS + 1))
            for position in range(bisect_right(order.arrivals, after), bisect_right(order.arrivals, until))
            for minute, i in (order.trades[position],)
        ]

    def newest(self, count: int, until: int) -> list[Trade]:
        """Return the last `count` trades discovered by `until`, oldest first."""
        found: list[Trade] = []
        end = until // MINUTE_NS
        for minute in range(end, max(end - 10_080, self.listed * 60 - 1), -1):
            if len(found) >= count:
                break
            found = self.between(minute * MINUTE_NS - 1, min(until, (minute + 1) * MINUTE_NS - 1)) + found
        return found[-count:] if count else []

    def traded_before(self, minute: int) -> int | None:
        """Return the last minute with a trade before this one; None before the market's first."""
        return next((at for at in range(minute - 1, self.listed * 60 - 1, -1) if self.bar(at)), None)

    def stamps(self, minute: int) -> Sequence[int]:
        """Return the exchange times of a minute's trades, in order, in nanoseconds from its start."""
        return self._shape(minute).stamps

    def starts(self, minute: int) -> Sequence[int]:
        """Return the places in a minute at which an aggregate begins."""
        return self._shape(minute).starts

    def part(self, minute: int, start: int, stop: int) -> list[Trade]:
        """Return a minute's trades at the places [start, stop) without their CCSEQ, in the exchange's order."""
        return [self._trade(minute, i, None) for i in range(start, min(stop, len(self._shape(minute).stamps)))]

    def number_of(self, id: int) -> int:
        """Return how many trades have a lower id."""
        return max(0, id - self._first_id)

    def id_at(self, number: int) -> int:
        """Return the id of the trade of this number."""
        return self._first_id + number

    def cut_quote_volume(self, minute: int, places: int) -> int:
        """Return the sum of price times amount of a minute's trades, each cut to so many places."""
        shape, unit = self._shape(minute), 10 ** (self.price_places + self.amount_places - places)
        hour = self._hour(minute // 60)
        base, factor = hour.bases[minute % 60], hour.plan.factors[minute % 60]
        return sum((base + step) * factor * size // unit for step, size in zip(shape.steps, shape.sizes, strict=True))

    def _roll_up_hour(self, hour: int) -> Bar | None:
        """Return what join() makes of the hour's minutes, from its plan's sums: years of days ask for many of these."""
        if hour < self.listed:
            return None
        _, sums, every = self._hour(hour)
        if sums is None:
            return None
        bases = [every[at] for at in sums.minutes]
        return Bar(
            first=bases[0] + sums.first,
            high=max(map(add, bases, sums.highs)),
            low=min(map(add, bases, sums.lows)),
            close=bases[-1] + sums.close,
            volume=sums.volume,
            quote_volume=sum(map(mul, bases, sums.volumes)) + sums.weighted,
            trades=sums.trades,
        )

    def _roll_up_day(self, day: int) -> Bar | None:
        """Return what join() makes of the day's hours, without a look at most of their minutes."""
        first = day * 24
        numbers = [self._draw("hour", hour) % PLAN_COUNT for hour in range(first, first + 24)]
        hours = [sums for number in numbers if (sums := self._sums[number])]
        if first < self.listed or len(hours) < 24:
            return join(self._roll_up_hour(hour) for hour in range(first, first + 24))
        prices = self._day_prices(first)
        return join_plans(hours, prices, [self._rounding(*of) for of in zip(numbers, rests(prices), strict=True)])

    def _day_prices(self, first: int) -> list[int]:
        """Return the prices at 25 full hours; the numbers of _draw_hour_price() to the last bit, wave by wave."""
        waves = [list(self._day_wave(first, *octave)) for octave in WAVES]
        return [round(self._price * math.exp(sum(heights))) for heights in zip(*waves, strict=True)]

    def _day_wave(self, first: int, octave: int, length: int, height: float) -> Iterator[float]:
        """Yield _wave() of 25 hours."""
        for cell in range(first // length, (first + 24) // length + 1):
            left, start = self._lattice(octave, cell), cell * length
            rise = self._lattice(octave, cell + 1) - left
            for within in range(max(first - start, 0), min(first + 25 - start, length)):
                part = within / length
                yield height * (left + rise * part * part * (3 - 2 * part))

    def _trade(self, minute: int, i: int, number: int | None) -> Trade:
        """Return one trade; `i` is its place in the minute, `number` its place among all discovered, for CCSEQ."""
        at = minute % 60
        plan, _, bases = self._hour(minute // 60)
        shape, start = self._shapes[plan.shapes[at]], minute * MINUTE_NS
        price, amount = bases[at] + shape.steps[i], plan.factors[at] * shape.sizes[i]
        ts = start + shape.stamps[i]
        own_id = self.id_at(self.numbers.before(minute) + i)
        return Trade(
            ts=ts,
            rts=start + shape.arrivals[i],
            id=str(own_id) if self.pair.venue.has_ids else f"{ts // SECOND_NS}{i % 1000}",
            ccseq=self._first_ccseq + number if number is not None and self.pair.venue.has_ccseq else None,
            sell=shape.sells[i],
            price=price,
            amount=amount,
            price_text=as_sent(price, self.price_places),
            amount_text=as_sent(amount, AMOUNT_PLACES),
        )

    def _discovery_order(self, minute: int) -> DiscoveryOrder:
        """Return what is discovered in a minute: late trades of the minute before, and its own except the late ones."""
        before, own = self._shape(minute - 1), self._shape(minute)
        late = before.discovery[len(before.discovery) - before.late :]
        found = [((minute - 1) * MINUTE_NS + before.arrivals[i], minute - 1, i) for i in late]
        found += [
            (minute * MINUTE_NS + own.arrivals[i], minute, i) for i in own.discovery[: len(own.discovery) - own.late]
        ]
        found.sort()
        first = self.numbers.before(minute) - len(late)
        return DiscoveryOrder(first, [arrival for arrival, *_ in found], [(at, i) for _, at, i in found])

    def _shape(self, minute: int) -> Shape:
        return self._shapes[self._hour(minute // 60).plan.shapes[minute % 60]] if minute >= self.listed * 60 else EMPTY

    def _planned_hour(self, hour: int) -> Hour:
        """Return an hour's plan, applied between the prices at its two ends."""
        number = self._draw("hour", hour) % PLAN_COUNT
        plan = self._plans[number]
        start, end = self._hour_price(hour), self._hour_price(hour + 1)
        bases = [start + (end - start) * at // 60 + plan.path[at] for at in range(60)]
        return Hour(plan, self._sums[number], bases)

    def _draw_hour_price(self, hour: int) -> int:
        """Return the price at a full hour: waves of all lengths, the longer the higher."""
        return round(self._price * math.exp(sum([self._wave(hour, *octave) for octave in WAVES])))

    def _wave(self, hour: int, octave: int, length: int, height: float) -> float:
        """Return a smooth value between random heights below `height` that are `length` hours apart."""
        cell, within = divmod(hour, length)
        part = within / length
        left = self._lattice(octave, cell)
        if not within:
            return height * left
        right = self._lattice(octave, cell + 1)
        return height * (left + (right - left) * part * part * (3 - 2 * part))

    def _draw_lattice(self, octave: int, cell: int) -> float:
        return self._draw("wave", octave, cell) / 2**63 - 1

    def _draw(self, *what: str | int) -> int:
        """Return 64 random bits that depend only on seed, market and question."""
        return int.from_bytes(blake2b(f"{self._name}/{what}".encode(), digest_size=8).digest(), "big")
