"""How much of a range is there, counted from its certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datastore.coverage.certificate import MISSING, PROVIDER, Run
from datastore.coverage.completeness import Amount, MissingPart, completeness_of, described
from datastore.coverage.segments import NO_ROWS, Segment, segments_of
from datastore.timeframes.intervals import micros_of
from datastore.timeframes.timeframe import TIMEFRAMES

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
START = datetime(2025, 11, 23, tzinfo=UTC)
TOO_OLD = "Minute data is only available for the last 7 days."


def repair(reason: str, final: bool) -> dict[str, Any]:
    return {"reason": reason, "code": "final" if final else "socket", "attempts": 0, "next_try": None, "final": final}


def test_a_year_of_which_the_provider_keeps_a_week_is_not_there() -> None:
    border, stop = START + 358 * DAY, START + 365 * DAY
    found = completeness_of(
        [
            Segment(START, border, "gap", 0, "before the feed began", repair(TOO_OLD, True)),
            Segment(border, stop - 2 * MINUTE, "provider", 7),
            Segment(stop - 2 * MINUTE, stop - MINUTE, "pending", 0, "provider not final", code="not_final"),
            Segment(stop - MINUTE, stop, "gap", 0, "socket lost", code="socket"),
            Segment(stop, stop + DAY, "pending", 0, "not begun yet", code="not_begun"),
        ],
        TIMEFRAMES["1m"],
    )
    assert (found.asked, found.pending) == (Amount(525_600, 365 * DAY), Amount(1, MINUTE))
    assert found.proven.buckets == 7 * 1440 - 2
    assert found.missing == (
        MissingPart(TOO_OLD, "final", True, Amount(358 * 1440, 358 * DAY), START, border),
        MissingPart("socket lost", "socket", False, Amount(1, MINUTE), stop - MINUTE, stop),
    )
    assert described(found) == (
        "10,078 of 525,600 candles are there (1.92 %, 7 d of 365 d); 1 not known finally yet; "
        "515,520 final, will not come (98.08 %, 358 d): Minute data is only available for the last 7 days; "
        "1 missing (0.01 %, 1 min): socket lost"
    )


def test_what_is_missing_before_the_provider_s_time_is_known_is_not_pending() -> None:
    found = completeness_of(
        [Segment(START, START + DAY, "pending", 0, "no provider time yet", code="no_time")], TIMEFRAMES["1m"]
    )
    assert [(part.final, part.amount.buckets) for part in found.missing] == [(False, 1440)]
    assert described(completeness_of([], TIMEFRAMES["1m"])) == "nothing of it has begun yet"


@pytest.mark.parametrize(
    ("some", "percent"), [(0, 0.0), (1, 0.01), (500_000, 50.0), (999_999, 99.99), (1_000_000, 100.0)]
)
def test_a_part_is_never_nothing_and_never_all(some: int, percent: float) -> None:
    assert Amount(some).percent_of(Amount(1_000_000)) == percent


def test_a_month_is_one_candle_and_its_days_are_counted() -> None:
    segment = Segment(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), "merged")
    found = completeness_of([segment], TIMEFRAMES["1M"])
    assert (found.proven.buckets, found.proven.days) == (2, 59)


def test_what_is_missing_is_cut_where_final_refusals_begin_and_end() -> None:
    def at(minutes: int) -> int:
        return micros_of(START + minutes * MINUTE)

    runs = [Run(at(0), at(20), MISSING, "partial", True), Run(at(20), at(30), PROVIDER, "provider", True)]
    repairs = [(at(0), at(20), repair("socket lost", False)), (at(7), at(8), repair(TOO_OLD, True))]
    found = segments_of(runs, TIMEFRAMES["5m"], [NO_ROWS] * 2, [], [], repairs)
    shown = [((part.stop - part.start) // MINUTE, part.repair and part.repair["reason"]) for part in found]
    assert shown == [(5, "socket lost"), (5, TOO_OLD), (10, "socket lost"), (10, None)]
