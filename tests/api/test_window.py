from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.api.errors import BadParameters
from datastore.api.instants import EARLIEST, LATEST
from datastore.api.params import MAX_ROWS, SeriesQuestion
from datastore.api.window import window
from datastore.timeframes import TIMEFRAMES

NOW = datetime(2026, 11, 23, 14, 30, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ASKED = SeriesQuestion("coinbase:BTC-USD", "1m", None, None, None)
times = st.datetimes(
    EARLIEST.replace(tzinfo=None), (LATEST - timedelta(seconds=1)).replace(tzinfo=None), timezones=st.just(UTC)
)


def test_without_a_range_the_newest_500_buckets_end_with_the_open_one() -> None:
    page = window(ASKED, NOW)
    assert page.stop == datetime(2026, 11, 23, 14, 31, tzinfo=UTC)
    assert page.stop - page.start == 500 * MINUTE
    assert not page.has_more


def test_limit_counts_buckets_back_from_to() -> None:
    page = window(replace(ASKED, stop=NOW, limit=2), NOW + timedelta(days=1))
    assert page.start == datetime(2026, 11, 23, 14, 29, tzinfo=UTC)
    assert page.stop == datetime(2026, 11, 23, 14, 31, tzinfo=UTC)


def test_from_is_floored_to_its_bucket() -> None:
    page = window(replace(ASKED, timeframe="1h", start=NOW), NOW)
    assert page.start == datetime(2026, 11, 23, 14, tzinfo=UTC)


def test_months_are_counted_by_the_calendar() -> None:
    page = window(replace(ASKED, timeframe="1M", limit=12), NOW)
    assert (page.start, page.stop) == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def test_the_most_months_back_do_not_leave_the_calendar() -> None:
    page = window(replace(ASKED, timeframe="1M", limit=MAX_ROWS), NOW)
    assert page.start == datetime(2000, 1, 1, tzinfo=UTC)


def test_a_from_in_the_future_without_to_is_refused() -> None:
    with pytest.raises(BadParameters, match="future"):
        window(replace(ASKED, start=NOW + timedelta(hours=1)), NOW)


@given(
    st.sampled_from(sorted(TIMEFRAMES)),
    times,
    st.timedeltas(timedelta(seconds=1), timedelta(days=90)),
    st.integers(1, 50),
)
def test_pages_follow_each_other_without_gap_or_overlap(
    name: str, start: datetime, length: timedelta, limit: int
) -> None:
    asked = replace(ASKED, timeframe=name, start=start, stop=start + length, limit=limit)
    timeframe = TIMEFRAMES[name]
    page = window(asked, NOW)
    assert page.start == timeframe.floor(start)
    for _ in range(5):
        assert timeframe.between(page.start, page.stop) <= limit
        if not page.has_more:
            assert page.stop == page.end == timeframe.ceil(start + length)
            break
        following = window(replace(asked, start=page.stop), NOW)
        assert following.start == page.stop
        page = following


@given(st.sampled_from(sorted(TIMEFRAMES)), times, st.none() | st.integers(1, MAX_ROWS), times)
def test_every_question_without_from_has_a_window_of_whole_buckets(
    name: str, stop: datetime, limit: int | None, now: datetime
) -> None:
    timeframe = TIMEFRAMES[name]
    page = window(replace(ASKED, timeframe=name, stop=stop, limit=limit), now)
    assert page.start == timeframe.floor(page.start)
    assert page.stop == timeframe.ceil(stop)
