"""Why buckets are not proven: a code for those who count and filter, and a detail for people. Pure.

Times are microseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from datastore.wording import counted
from streaming.ends import EndCode
from streaming.records import Micros


class ReasonCode(StrEnum):
    """The kinds of reasons beside EndCode, which says how the feed before a gap ended."""

    # Not proven yet.
    NOT_BEGUN = "not_begun"
    NO_TIME = "no_time"  # no stamp of the provider was seen
    BACKLOG = "backlog"  # acknowledged records wait to be stored
    NOT_FINAL = "not_final"  # the provider may still change its answer
    # Missing.
    NEVER_BEGAN = "never_began"  # before any feed of the market
    STALE = "stale"  # the feed said nothing more
    IDS = "ids"  # trades are missing between ids that are stored
    FETCH = "fetch"  # what keeps it from being fetched
    FINAL = "final"  # the provider will never have it


ANY_CODE = (*(code.value for code in ReasonCode), *(code.value for code in EndCode))


class Reason(NamedTuple):
    """Why buckets are not proven; code: one of ANY_CODE, or an end's of a later version."""

    code: str
    detail: str


NOT_BEGUN = Reason(ReasonCode.NOT_BEGUN, "not begun yet")
NO_TIME = Reason(ReasonCode.NO_TIME, "no provider time yet")
BACKLOG = Reason(ReasonCode.BACKLOG, "backlog")
NOT_FINAL = Reason(ReasonCode.NOT_FINAL, "provider not final")
NEVER_BEGAN = Reason(ReasonCode.NEVER_BEGAN, "before the feed began")
STALE = Reason(ReasonCode.STALE, "feed stale")


class IdGap(NamedTuple):
    """Ids first..last that are not stored although ids around them are; doubted: two different trades came under them.

    They were traded within [low, high). filling: they are being asked for by their ids.
    """

    first: int
    last: int
    low: Micros
    high: Micros
    doubted: bool = False
    filling: bool = False


class IdGaps:
    """The id gaps of a stretch, found by time."""

    def __init__(self, id_gaps: Sequence[IdGap] = ()) -> None:
        self._gaps = sorted(id_gaps, key=lambda gap: gap.low)
        self._lows = [gap.low for gap in self._gaps]
        self._highs = list(accumulate((gap.high for gap in self._gaps), max))  # ascending

    def reason(self, start: Micros, stop: Micros) -> Reason | None:
        """Return which trades of [start, stop) are missing, or else in doubt; None if none is known to be."""
        places = range(bisect_right(self._highs, start), bisect_left(self._lows, stop))
        found = [self._gaps[place] for place in places if self._gaps[place].high > start]
        missing = [gap for gap in found if not gap.doubted]
        if missing:
            being_filled = "filling: " if any(hole.filling for hole in missing) else ""
            return Reason(ReasonCode.IDS, f"{being_filled}{_told(missing)} missing, {_ids(missing)}")
        if found:
            return Reason(EndCode.CONFLICT, f"{_told(found)} in doubt, {_ids(found)}: two came under one id")
        return None


NO_ID_GAPS = IdGaps()


def _told(id_gaps: Sequence[IdGap]) -> str:
    return counted(sum(gap.last - gap.first + 1 for gap in id_gaps), "trade")


def _ids(id_gaps: Sequence[IdGap]) -> str:
    first, last = min(gap.first for gap in id_gaps), max(gap.last for gap in id_gaps)
    return f"id {first}" if first == last else f"ids {first} to {last}"
