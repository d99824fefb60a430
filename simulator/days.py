"""Days from the sums of their hours' plans: years of days are asked for, so few minutes are looked at.

The price of a minute is start + (end - start) * minute // 60 + path, between the prices at the hour's two ends. With
end - start = 60 * each + rest that is start + each * minute + rest * minute // 60 + path. So the sum of price times
volume takes only sums of the plan, and one for the rounding, which `rest` decides. And no minute is above both ends by
more than the plan's top, which leaves few hours that may have the day's high.
"""

from __future__ import annotations

from itertools import pairwise

from simulator.shapes import PlanSums
from simulator.trades import Bar


def rests(prices: list[int]) -> list[int]:
    """Return `rest` of each hour between two prices."""
    return [(end - start) % 60 for start, end in pairwise(prices)]


def sum_of_rounding(plan: PlanSums | None, rest: int) -> int:
    """Return the sum of volume * (rest * minute // 60) of a plan, 0 without trades."""
    if plan is None:
        return 0
    return sum(volume * (rest * at // 60) for at, volume in zip(plan.minutes, plan.volumes, strict=True))


def join_plans(hours: list[PlanSums], prices: list[int], roundings: list[int]) -> Bar:
    """Return the bar of consecutive hours; prices: one more than hours, roundings: sum_of_rounding() of each hour."""
    quote_volume = sum(roundings)
    for hour, start, end in zip(hours, prices, prices[1:], strict=False):
        quote_volume += start * hour.volume + (end - start) // 60 * hour.volume_by_minute
        quote_volume += hour.volume_by_path + hour.weighted
    low, high = _extremes(hours, prices)
    return Bar(
        first=hours[0].at(0, *prices[:2]) + hours[0].first,
        high=high,
        low=low,
        close=hours[-1].at(-1, *prices[-2:]) + hours[-1].close,
        volume=sum(hour.volume for hour in hours),
        quote_volume=quote_volume,
        trades=sum(hour.trades for hour in hours),
    )


def _extremes(hours: list[PlanSums], prices: list[int]) -> tuple[int, int]:
    """Return the low and the high of hours between the prices at their ends; those that promise the most come first."""
    ends = list(pairwise(prices))
    tops = sorted(((max(ends[at]) + hour.top, at) for at, hour in enumerate(hours)), reverse=True)
    bottoms = sorted((min(ends[at]) + hour.bottom, at) for at, hour in enumerate(hours))
    high, low = hours[tops[0][1]].high(*ends[tops[0][1]]), hours[bottoms[0][1]].low(*ends[bottoms[0][1]])
    for most, at in tops[1:]:
        if most <= high:
            break
        high = max(high, hours[at].high(*ends[at]))
    for least, at in bottoms[1:]:
        if least >= low:
            break
        low = min(low, hours[at].low(*ends[at]))
    return low, high
