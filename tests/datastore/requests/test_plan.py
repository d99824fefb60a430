from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.coverage.segments import Segment
from datastore.requests.plan import MissingSpan, final_spans, missing_spans
from datastore.series.reader import Series
from datastore.timeframes.timeframe import BASE, DAY_S, HOUR_S, MINUTE_S
from ingestion.providers.cryptocompare.traits import TRAITS

CACHE_AGE = {resolution: one.cache_age for resolution, one in TRAITS.candles.resolutions.items()}
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def hours(count: int) -> timedelta:
    return timedelta(hours=count)


def series(timeframe: str, *segments: Segment, unfinished: Sequence[datetime] = (), now: datetime = NOON) -> Series:
    return Series(
        market="coinbase:BTC-USD",
        timeframe=timeframe,
        start=segments[0].start,
        stop=segments[-1].stop,
        server_time=now,
        watermark=now,
        version=1,
        series_id="x",
        provider="p",
        simulated=True,
        candle_traits=TRAITS.candles,
        segments=list(segments),
        text="",
        count=len(unfinished),
        unfinished=[int(at.timestamp() * 1000) for at in unfinished],
        corrected=[],
        complete=False,
        complete_until=now,
    )


def test_a_whole_series_lacks_nothing_whatever_follows_it() -> None:
    live = Segment(NOON - hours(5), NOON - hours(1), "live")
    assert missing_spans(series("1m", live), reach=NOON) == []


def test_a_hole_is_lacking_at_the_stored_resolution_of_its_timeframe() -> None:
    start, stop = NOON - hours(8), NOON - hours(4)
    for timeframe, resolution in (("5m", MINUTE_S), ("4h", HOUR_S)):
        assert missing_spans(series(timeframe, Segment(start, stop, "gap"))) == [MissingSpan(resolution, start, stop)]


def test_neighbouring_gaps_and_partial_buckets_are_one_lack() -> None:
    parts = [Segment(NOON - minutes(n + 10), NOON - minutes(n), state) for n, state in ((20, "gap"), (10, "partial"))]
    assert missing_spans(series("1m", *parts)) == [MissingSpan(MINUTE_S, NOON - minutes(30), NOON - minutes(10))]


def test_before_the_providers_first_stamp_what_is_not_proven_is_lacking() -> None:
    unknown = Segment(NOON - hours(2), NOON, "pending", reason="no provider time yet", code="no_time")
    coming = Segment(NOON - hours(2), NOON, "pending", reason="backlog", code="backlog")
    assert missing_spans(series("1m", unknown)) == [MissingSpan(MINUTE_S, NOON - hours(2), NOON - CACHE_AGE[60])]
    assert missing_spans(series("1m", coming)) == []


def test_what_follows_a_lacking_page_is_fetched_with_it() -> None:
    gap, live = Segment(NOON - hours(9), NOON - hours(8), "gap"), Segment(NOON - hours(8), NOON - hours(7), "live")
    assert missing_spans(series("1m", gap, live), reach=NOON - hours(1)) == [
        MissingSpan(MINUTE_S, gap.start, gap.stop),
        MissingSpan(MINUTE_S, live.stop, NOON - hours(1)),
    ]


def test_today_lacks_its_hours_and_the_last_hour_its_minutes() -> None:
    midnight = NOON - hours(12)
    today = Segment(midnight, midnight + hours(24), "partial")
    now = NOON + minutes(20)
    assert missing_spans(series("1d", today, now=now)) == [
        MissingSpan(HOUR_S, midnight, NOON),
        MissingSpan(MINUTE_S, NOON, now - CACHE_AGE[MINUTE_S]),
    ]


def test_an_open_bucket_whose_row_is_partial_lacks_what_is_over_of_it() -> None:
    bucket = Segment(NOON, NOON + hours(1), "open")
    assert missing_spans(series("1h", bucket, unfinished=[NOON], now=NOON + minutes(30))) == [
        MissingSpan(MINUTE_S, NOON, NOON + minutes(29))
    ]


def test_an_open_bucket_that_lacks_nothing_of_what_is_over_is_not_asked_for() -> None:
    assert missing_spans(series("1h", Segment(NOON, NOON + hours(1), "open"))) == []


@pytest.mark.parametrize("resolution", [MINUTE_S, HOUR_S, DAY_S])
def test_the_future_is_not_asked_for(resolution: int) -> None:
    assert list(final_spans(TRAITS.candles, resolution, NOON + hours(24), NOON + hours(72), NOON)) == []


@given(
    resolution=st.sampled_from([MINUTE_S, HOUR_S, DAY_S]),
    back=st.integers(0, 5_000),
    length=st.integers(1, 5_000),
    second=st.integers(0, 86_399),
)
def test_the_parts_are_whole_final_buckets_side_by_side(resolution: int, back: int, length: int, second: int) -> None:
    now = NOON + timedelta(seconds=second)
    start = now - minutes(back)
    parts = list(final_spans(TRAITS.candles, resolution, start, start + minutes(length), now))
    for part in parts:
        frame = BASE[part.resolution]
        assert part.start < part.stop <= now - CACHE_AGE[part.resolution]
        assert frame.floor(part.start) == part.start
        assert frame.floor(part.stop) == part.stop
    assert all(one.stop == two.start and one.resolution > two.resolution for one, two in pairwise(parts))
    if back > 24 * 60:
        assert parts[0].start <= start
