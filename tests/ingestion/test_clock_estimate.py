from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datastore.timeframes.intervals import SECOND
from ingestion.live.clock_estimate import WINDOW_US, ClockEstimate


def test_the_database_clock_stands_in_before_the_first_stamp() -> None:
    clock = ClockEstimate()
    assert clock.now(5 * SECOND) == 5 * SECOND
    assert not clock.measured


def test_the_greatest_recent_difference_is_the_offset() -> None:
    clock = ClockEstimate()
    for late in (3, 1, 2):
        clock.observe(100 * SECOND - late * SECOND, 100 * SECOND)
    assert clock.offset == -1 * SECOND


def test_a_smaller_offset_stands_still_instead_of_going_back() -> None:
    clock = ClockEstimate()
    clock.observe(110 * SECOND, 100 * SECOND)
    assert clock.now(100 * SECOND) == 110 * SECOND
    later = 100 * SECOND + WINDOW_US + 1
    clock.observe(later + 2 * SECOND, later)
    assert clock.offset == 2 * SECOND
    assert clock.now(later) == later + 10 * SECOND
    assert clock.now(later + 4 * SECOND) == later + 10 * SECOND
    assert clock.now(later + 9 * SECOND) == later + 11 * SECOND


def test_a_stamp_far_ahead_counts_only_when_two_later_ones_agree() -> None:
    clock = ClockEstimate()
    hour = 3600 * SECOND
    assert clock.observe(0, 0)
    assert not clock.observe(hour, 0)
    assert clock.observe(SECOND, SECOND)  # an honest one in between clears the suspicion
    assert not clock.observe(hour, SECOND)
    assert not clock.observe(hour + SECOND, SECOND)
    assert clock.observe(hour + 2 * SECOND, SECOND)
    assert clock.now(SECOND) == hour + 2 * SECOND


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**9), 10**9)), min_size=1, max_size=60))
def test_time_given_out_never_goes_back(steps: list[tuple[int, int]]) -> None:
    clock, database, given_out = ClockEstimate(), 0, 0
    for passed, skew in steps:
        database += passed
        clock.observe(database + skew, database)
        now = clock.now(database)
        assert now >= given_out
        given_out = now
