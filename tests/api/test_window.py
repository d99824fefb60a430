from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.api.errors import BadParameters
from datastore.api.params.times import EARLIEST, LATEST
from datastore.api.params.window import window
from datastore.timeframes.timeframe import TIMEFRAMES

NOW = datetime(2026, 11, 23, 14, 30, 15, tzinfo=UTC)
times = st.datetimes(
    EARLIEST.replace(tzinfo=None), (LATEST - timedelta(seconds=1)).replace(tzinfo=None), timezones=st.just(UTC)
)


def test_a_range_without_an_end_ends_with_the_open_bucket() -> None:
    page = window(TIMEFRAMES["1h"], NOW - timedelta(hours=2), None, 10_000, NOW)
    assert page.start == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert page.stop == page.end == datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert not page.has_more


def test_an_end_inside_a_bucket_takes_the_whole_bucket() -> None:
    page = window(TIMEFRAMES["1d"], NOW, NOW + timedelta(seconds=1), 1, NOW)
    assert page.stop - page.start == timedelta(days=1)


def test_months_are_counted_by_the_calendar() -> None:
    page = window(TIMEFRAMES["1M"], datetime(2025, 12, 31, tzinfo=UTC), None, 3, NOW)
    assert (page.start, page.stop) == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    assert page.has_more


def test_a_from_in_the_future_without_to_is_refused() -> None:
    with pytest.raises(BadParameters, match="future"):
        window(TIMEFRAMES["1m"], NOW + timedelta(hours=1), None, 1, NOW)


@given(st.sampled_from(sorted(TIMEFRAMES)), st.integers(-5, 60), st.integers(1, 50))
def test_the_last_page_holds_the_open_bucket_however_late_the_end_is(name: str, before: int, limit: int) -> None:
    timeframe, late = TIMEFRAMES[name], datetime(2099, 1, 1, tzinfo=UTC)
    opened = timeframe.floor(NOW)
    page, pages = window(timeframe, timeframe.after(opened, -before), late, limit, NOW), 1
    while page.has_more:
        assert page.stop <= opened
        page, pages = window(timeframe, page.stop, page.end, limit, NOW), pages + 1
    assert page.stop > opened and pages <= max(before, 0) // limit + 1


@given(
    st.sampled_from(sorted(TIMEFRAMES)),
    times,
    st.timedeltas(timedelta(seconds=1), timedelta(days=90)),
    st.integers(1, 50),
)
def test_pages_follow_each_other_without_gap_or_overlap(
    name: str, start: datetime, length: timedelta, limit: int
) -> None:
    timeframe, now = TIMEFRAMES[name], start + length
    page = window(timeframe, start, start + length, limit, now)
    assert page.start == timeframe.floor(start)
    for _ in range(5):
        assert timeframe.between(page.start, page.stop) <= limit
        if not page.has_more:
            assert page.stop == page.end == timeframe.ceil(start + length)
            break
        following = window(timeframe, page.stop, page.end, limit, now)
        assert following.start == page.stop
        page = following
