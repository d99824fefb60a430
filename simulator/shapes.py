"""Patterns that minutes and hours are built from.

A minute is one of a few patterns of trades, moved to that minute's price and multiplied by its size. An hour is one of
a few plans: the same patterns in another order, each of which goes on near where the one before it ended. So any minute
and its sums can be computed directly, and every hour of a market has the same number of trades, which makes ids and
CCSEQ computable too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from random import Random
from statistics import NormalDist

from simulator.pairs import Venue
from simulator.trades import MAX_DISCOVERY_DELAY_NS, MINUTE_NS, SECOND_NS, aggregate_starts

MINUTE_STEPS = 10  # how far a minute moves the price, in steps
PLAN_COUNT = 32
MILLISECOND_NS = SECOND_NS // 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """One minute's trades in the exchange's order, relative to the minute's start, price and size."""

    stamps: list[int]
    arrivals: list[int]
    steps: list[int]
    sizes: list[int]
    sells: list[bool]
    discovery: list[int]  # positions in the order of discovery
    late: int  # how many at the end of `discovery` are discovered in the next minute
    volume: int
    weighted: int  # sum of size * step
    high: int
    low: int
    end: int  # the price step of the last order
    starts: list[int]  # where a run of trades of one time, side and price begins


@dataclass(frozen=True, slots=True)
class Plan:
    """One hour: for each minute the pattern, its size and its ticks from the hour's line; what is before it."""

    shapes: list[int]
    factors: list[int]
    path: list[int]
    before: list[int]  # trades
    aggregates_before: list[int]


@dataclass(frozen=True, slots=True)
class PlanSums:
    """What a plan's minutes with trades add up to: all that an hour's bar needs beside the price of each minute."""

    minutes: list[int]  # those with trades
    volumes: list[int]
    highs: list[int]  # above the minute's price; the lows likewise
    lows: list[int]
    first: int
    close: int
    volume: int
    weighted: int
    trades: int
    path: list[int]  # of those minutes
    top: int  # the highest price above the hour's line, and the lowest
    bottom: int
    volume_by_minute: int  # sum of volume * minute, and of volume * path
    volume_by_path: int

    def at(self, place: int, start: int, end: int) -> int:
        """Return the price of the minute at this place, in an hour between two prices."""
        return start + (end - start) * self.minutes[place] // 60 + self.path[place]

    def high(self, start: int, end: int) -> int:
        """Return the high of an hour between two prices."""
        rise = end - start
        return start + max(
            rise * at // 60 + step + high for at, step, high in zip(self.minutes, self.path, self.highs, strict=True)
        )

    def low(self, start: int, end: int) -> int:
        """Return the low of an hour between two prices."""
        rise = end - start
        return start + min(
            rise * at // 60 + step + low for at, step, low in zip(self.minutes, self.path, self.lows, strict=True)
        )


def add_up(plan: Plan, shapes: list[Shape]) -> PlanSums | None:
    """Return the sums of a plan, None if it has no trades."""
    traded = [(at, shapes[kind], plan.factors[at]) for at, kind in enumerate(plan.shapes) if shapes[kind].steps]
    if not traded:
        return None
    path = [plan.path[at] for at, *_ in traded]
    volumes = [factor * shape.volume for _, shape, factor in traded]
    return PlanSums(
        minutes=[at for at, *_ in traded],
        volumes=volumes,
        highs=[shape.high for _, shape, _ in traded],
        lows=[shape.low for _, shape, _ in traded],
        first=traded[0][1].steps[0],
        close=traded[-1][1].steps[-1],
        volume=sum(factor * shape.volume for _, shape, factor in traded),
        weighted=sum(factor * shape.weighted for _, shape, factor in traded),
        trades=sum(len(shape.steps) for _, shape, _ in traded),
        path=path,
        top=max(step + shape.high for step, (_, shape, _) in zip(path, traded, strict=True)),
        bottom=min(step + shape.low for step, (_, shape, _) in zip(path, traded, strict=True)),
        volume_by_minute=sum(volume * at for volume, (at, *_) in zip(volumes, traded, strict=True)),
        volume_by_path=sum(map(mul, volumes, path)),
    )


def draw_shapes(name: str, venue: Venue, counts: list[int], step: int, size: int) -> list[Shape]:
    """Return a pattern for each count of trades: as many rise as fall, so that an hour of all ends near its start."""
    found: list[Shape] = []
    for kind, count in enumerate(counts):
        seed, reached = f"{name}/{kind}", sum(shape.end for shape in found)
        shape = draw_shape(Random(seed), venue, count, step, size)
        found.append(shape if shape.end * reached <= 0 else draw_shape(Random(seed), venue, count, -step, size))
    return found


def draw_shape(random: Random, venue: Venue, count: int, step: int, size: int) -> Shape:
    """Return `count` random trades that walk from 0, together about ten steps (of ticks) far; sizes about `size` units.

    With -step the walk goes where it goes with step, but in the other direction.
    """
    rows = sorted(_rows(random, venue, count, step, size), key=lambda row: row[0])
    delays: dict[int, int] = {}
    for stamp, *_ in rows:
        # Trades of one exchange time are discovered together, so their order is the same by CCSEQ, by id and by time.
        delays.setdefault(stamp, _delay(random))
    arrivals = [row[0] + delays[row[0]] for row in rows]
    return Shape(
        stamps=[row[0] for row in rows],
        arrivals=arrivals,
        steps=[row[1] for row in rows],
        sizes=[row[2] for row in rows],
        sells=[row[3] for row in rows],
        discovery=sorted(range(count), key=lambda i: (arrivals[i], i)),
        late=sum(arrival >= MINUTE_NS for arrival in arrivals),
        volume=sum(row[2] for row in rows),
        weighted=sum(row[1] * row[2] for row in rows),
        high=max((row[1] for row in rows), default=0),
        low=min((row[1] for row in rows), default=0),
        end=rows[-1][4] if rows else 0,
        starts=aggregate_starts([(stamp, sell, step) for stamp, step, _, sell, _ in rows]),
    )


def _rows(random: Random, venue: Venue, count: int, step: int, size: int) -> Iterator[tuple[int, int, int, bool, int]]:
    """Yield (time, price step, size, sell, level) of random orders, each of which makes one or more trades at once."""
    orders = _order_lengths(random, count)
    burst, level = random.random() * 60, 0.0
    times = sorted(_order_time(random, burst) for _ in orders)
    for at, length in zip(times, orders, strict=True):
        # Rounded down to the exchange's step, every fifth to the whole second, which makes ties.
        rounding = SECOND_NS if random.random() < 0.2 else venue.step
        stamp = int(at * SECOND_NS) // rounding * rounding
        sell = random.random() < 0.5
        level += random.gauss(0, 1) * step * MINUTE_STEPS / math.sqrt(len(orders))
        for part in range(length):
            swept = (
                part // 2 * max(1, abs(step) // 4)
            )  # each price fills two makers: venues report these as one aggregate
            amount = max(1, int(size * random.lognormvariate(0, 1.2)))
            yield stamp, round(level) + (-swept if sell else swept), amount, sell, round(level)


def _order_lengths(random: Random, count: int) -> list[int]:
    """Return a split of `count` trades into orders, most of which make one."""
    found: list[int] = []
    while count:
        found.append(min(count, 1 if random.random() < 0.6 else random.randint(2, 6)))
        count -= found[-1]
    return found


def _order_time(random: Random, burst: float) -> float:
    """Return a random second of the minute; one in four is in the minute's burst."""
    if random.random() < 0.25:
        return min(59.999, burst + random.expovariate(1.0))
    return random.random() * 59.999


def _delay(random: Random) -> int:
    """Return a random delay of discovery in ns: nearly always under 1 s, sometimes up to 3 s."""
    if random.random() < 0.01:
        return random.randrange(1000, 3000) * MILLISECOND_NS
    return min(MAX_DISCOVERY_DELAY_NS, max(5, min(950, int(80 * random.lognormvariate(0, 0.7)))) * MILLISECOND_NS)


def trade_counts(mean: float) -> list[int]:
    """Return the numbers of trades of the patterns, from quiet to busy; their mean is `mean` per minute."""
    kinds = 20 if mean < 2000 else 6  # dense patterns are few: all are held in memory
    spread = 1.0 if mean < 10 else 0.5
    levels = [math.exp(spread * NormalDist().inv_cdf((kind + 0.5) / kinds)) for kind in range(kinds)]
    found = [int(mean * level * kinds / sum(levels)) for level in levels]
    found[-1] += max(1, round(mean * kinds)) - sum(found)
    return found


def draw_plan(random: Random, shapes: list[Shape]) -> Plan:
    """Return a random hour: every pattern equally often, in random order, on a path that ends where it started.

    A minute begins where the one before it ended; what they all lack or have too much is spread over them.
    """
    order = list(range(len(shapes))) * (60 // len(shapes))
    random.shuffle(order)
    walk = list(accumulate((shapes[i].end for i in order), initial=0))
    path = [at - walk[60] * minute // 60 for minute, at in enumerate(walk[:60])]
    before = list(accumulate((len(shapes[i].sizes) for i in order), initial=0))
    aggregates = list(accumulate((len(shapes[i].starts) for i in order), initial=0))
    factors = [random.randint(1, 6) for _ in order]
    return Plan(shapes=order, factors=factors, path=path, before=before, aggregates_before=aggregates)
