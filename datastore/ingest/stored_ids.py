"""The trades of a batch by the venue's consecutive ids: which are new, which known, what ranges they make. Pure.

Where a venue counts its trades, identity is the id alone: its REST and its socket may give a trade's time in different
precision. What is not given here as held is new, whatever else is stored.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streaming.records import Micros, Trade

# How far the order of ids and the order of times may differ; as id_slack() in sql/functions/stored_ids.sql.
ID_SLACK_US = 100_000


class CountedTrade(NamedTuple):
    """A trade that covers the ids first..last, and its place in the batch."""

    first: int
    last: int
    at: int
    trade: Trade


class IdRun(NamedTuple):
    """Consecutive ids first..last; the first was traded at `since`, the last at `until`."""

    first: int
    last: int
    since: Micros
    until: Micros


@dataclass(slots=True)
class SortedIds:
    """The counted trades of one market in a batch.

    new: in the order of their ids, no two of them overlap. held: all of whose ids are held, so the same trade is stored
    already, or its content says otherwise. again: the same in the same batch. clashing: covers ids of another trade.
    """

    new: list[CountedTrade] = field(default_factory=list)
    held: list[CountedTrade] = field(default_factory=list)
    again: list[CountedTrade] = field(default_factory=list)
    clashing: list[CountedTrade] = field(default_factory=list)

    @property
    def is_all_new(self) -> bool:
        """Return whether every trade is new."""
        return not (self.held or self.again or self.clashing)


def runs_of(trades: Iterable[CountedTrade]) -> list[IdRun]:
    """Return the runs of consecutive ids that these trades cover, given in the order of their ids."""
    runs: list[IdRun] = []
    begun: IdRun | None = None
    reach = until = 0
    for first, last, _, trade in trades:
        if begun is not None and first <= reach + 1:
            if last > reach:
                reach, until = last, trade.ts
            continue
        if begun is not None:
            runs.append(IdRun(begun.first, reach, begun.since, until))
        begun, reach, until = IdRun(first, last, trade.ts, trade.ts), last, trade.ts
    if begun is not None:
        runs.append(IdRun(begun.first, reach, begun.since, until))
    return runs


def sort_ids(given: Sequence[CountedTrade], held: Sequence[tuple[int, int]]) -> SortedIds:
    """Sort the counted trades of one market, given in the order of the batch; held: its ranges of ids, both ends in.

    Of trades that cover the same ids the first counts.
    """
    found = SortedIds()
    ranges = sorted(held)
    firsts = [first for first, _ in ranges]
    by_first: dict[int, CountedTrade] = {}
    for one in given:
        place = bisect_right(firsts, one.last) - 1
        if place >= 0 and ranges[place][1] >= one.first:
            whole = ranges[place][0] <= one.first and ranges[place][1] >= one.last
            (found.held if whole else found.clashing).append(one)
        elif (twin := by_first.setdefault(one.first, one)) is not one:
            (found.again if _is_same(twin, one) else found.clashing).append(one)

    for one in sorted(by_first.values()):
        if found.new and one.first <= found.new[-1].last:
            earlier, later = sorted((found.new[-1], one), key=lambda each: each.at)
            found.new[-1] = earlier
            found.clashing.append(later)
        else:
            found.new.append(one)
    return found


def _is_same(one: CountedTrade, other: CountedTrade) -> bool:
    ours, theirs = one.trade, other.trade
    return (
        one.last == other.last
        and (ours.price, ours.amount) == (theirs.price, theirs.amount)
        and (ours.side == theirs.side or 0 in (ours.side, theirs.side))
        and abs(ours.ts - theirs.ts) <= ID_SLACK_US
    )
