from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.clock_estimate import WINDOW_US, ClockEstimate


def test_the_database_clock_stands_in_before_the_first_stamp() -> None:
    clock = ClockEstimate()
    assert clock.now(5 * SECOND_US) == 5 * SECOND_US
    assert not clock.measured


def test_the_greatest_recent_difference_is_the_offset() -> None:
    clock = ClockEstimate()
    for late in (3, 1, 2):
        clock.observe(100 * SECOND_US - late * SECOND_US, 100 * SECOND_US)
    assert clock.offset == -1 * SECOND_US


def test_a_smaller_offset_stands_still_instead_of_going_back() -> None:
    clock = ClockEstimate()
    clock.observe(110 * SECOND_US, 100 * SECOND_US)
    assert clock.now(100 * SECOND_US) == 110 * SECOND_US
    later = 100 * SECOND_US + WINDOW_US + 1
    clock.observe(later + 2 * SECOND_US, later)
    assert clock.offset == 2 * SECOND_US
    assert clock.now(later) == later + 10 * SECOND_US
    assert clock.now(later + 4 * SECOND_US) == later + 10 * SECOND_US
    assert clock.now(later + 9 * SECOND_US) == later + 11 * SECOND_US


def test_a_stamp_far_ahead_counts_only_when_two_later_ones_agree() -> None:
    clock = ClockEstimate()
    hour = 3600 * SECOND_US
    assert clock.observe(0, 0)
    assert not clock.observe(hour, 0)
    assert clock.observe(SECOND_US, SECOND_US)  # an honest one in between clears the suspicion
    assert not clock.observe(hour, SECOND_US)
    assert not clock.observe(hour + SECOND_US, SECOND_US)
    assert clock.observe(hour + 2 * SECOND_US, SECOND_US)
    assert clock.now(SECOND_US) == hour + 2 * SECOND_US


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**9), 10**9)), min_size=1, max_size=60))
def test_time_given_out_never_goes_back(steps: list[tuple[int, int]]) -> None:
    clock, database, given_out = ClockEstimate(), 0, 0
    for passed, skew in steps:
        database += passed
        clock.observe(database + skew, database)
        now = clock.now(database)
        assert now >= given_out
        given_out = now
