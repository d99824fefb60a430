from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, connections

from datastore.coverage.segments import Rows
from datastore.db.queries import execute, fetch_value, snapshot
from datastore.models import Candle, Coverage, GapRepair, Market, ProviderCandle
from datastore.quality.verify import Difference, differences
from datastore.reference.markets import ensure_markets
from datastore.series import reader
from datastore.series.reader import Series, read_series
from datastore.series.stored_rows import rows_of
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
    BTC,
    MINUTE,
    NOON,
    SECOND,
    closed,
    micros,
    moment,
    opened,
    store,
    trade,
    watermark,
)

pytestmark = pytest.mark.django_db

HOUR = 60 * MINUTE


@pytest.fixture
def btc() -> Market:
    return ensure_markets([BTC])[0]


def answered(market: Market, resolution: int, start: int, stop: int, *candles: int) -> None:
    """Let the provider have answered for [start, stop), with a candle of price 50 at each of these times."""
    Coverage.objects.create(
        market=market, source="provider", feed="", resolution=resolution, start=moment(start), stop=moment(stop)
    )
    for at in candles:
        ProviderCandle.objects.create(
            market=market, resolution=resolution, open_time=moment(at), version=1,
            open=50, high=50, low=50, close=50, volume=2, quote_volume=100,
        )  # fmt: skip


def shown(series: Series) -> list[tuple[str, int, int, int, str | None]]:
    """Return the segments with their times in minutes from noon."""
    return [
        (one.state, (micros(one.start) - NOON) // MINUTE, (micros(one.stop) - NOON) // MINUTE, one.quiet, one.reason)
        for one in series.segments
    ]


def from_noon(at: int) -> int:
    """Return a row's open time in minutes from noon."""
    return (at * 1000 - NOON) // MINUTE


def test_live_minutes_around_a_hole_are_named_to_the_bucket(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 10 * MINUTE + 20 * SECOND)
    store(
        opened(1, NOON + 30 * SECOND),
        trade(2, NOON + 45 * SECOND, "7.50", "2"),
        trade(3, NOON + 70 * SECOND, "8"),
        watermark(4, NOON + 3 * MINUTE + 5 * SECOND),
        closed(5, None, "socket lost"),
        trade(6, NOON + 5 * MINUTE),
        watermark(7, NOON + 5 * MINUTE + 30 * SECOND),
        watermark(8, NOON + 10 * MINUTE + 15 * SECOND),
    )
    series = read_series(btc, "1m", moment(NOON - 2 * MINUTE), moment(NOON + 12 * MINUTE))
    assert shown(series) == [
        ("gap", -2, 0, 0, "before the feed began"),
        ("partial", 0, 1, 0, "before the feed began"),
        ("live", 1, 3, 1, None),
        ("gap", 3, 5, 0, "socket lost"),
        ("partial", 5, 6, 0, "socket lost"),
        ("live", 6, 10, 4, None),
        ("open", 10, 11, 0, None),
        ("pending", 11, 12, 0, "not begun yet"),
    ]
    assert series.rows == [
        (NOON // 1000, "7.5", "7.5", "7.5", "7.5", "2", "15", 1, "partial", True, 0),
        ((NOON + MINUTE) // 1000, "8", "8", "8", "8", "1", "8", 1, "live", True, 0),
        ((NOON + 5 * MINUTE) // 1000, "100", "100", "100", "100", "1", "100", 1, "partial", True, 0),
    ]
    assert not series.complete and series.complete_until == moment(NOON + 10 * MINUTE)
    day = read_series(btc, "1d", limit=1)
    assert [(segment.state) for segment in day.segments] == ["partial"]
    assert day.rows == [(NOON // 1000 - 43200000, "7.5", "100", "7.5", "100", "4", "123", 3, "partial", False, 2)]


def test_a_merged_hour_is_made_of_its_minutes_and_counts_no_trades(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 2 * HOUR)
    answered(btc, 60, NOON, NOON + 20 * MINUTE, NOON + 5 * MINUTE)
    start = NOON + 19 * MINUTE + 1
    store(opened(1, start), trade(2, NOON + 30 * MINUTE, "70"), watermark(3, NOON + HOUR, start))
    series = read_series(btc, "1h", moment(NOON), moment(NOON + HOUR))
    assert shown(series) == [("merged", 0, 60, 0, None)]
    assert series.complete
    assert [row[1:10] for row in series.rows] == [("50", "70", "50", "70", "3", "170", None, "merged", True)]


def test_a_bucket_that_live_coverage_holds_never_shows_the_providers_row(
    btc: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + HOUR)
    answered(btc, 60, NOON, NOON + 10 * MINUTE, NOON, NOON + MINUTE, NOON + 2 * MINUTE)
    store(opened(1, NOON + 30 * SECOND), trade(2, NOON + 70 * SECOND), watermark(3, NOON + 3 * MINUTE))
    store(opened(4, NOON + MINUTE), watermark(5, NOON + 3 * MINUTE + 1))
    series = read_series(btc, "1m", moment(NOON), moment(NOON + 4 * MINUTE))
    assert [(from_noon(row[0]), row[8]) for row in series.rows] == [(0, "provider"), (1, "live")]
    assert shown(series) == [("provider", 0, 1, 0, None), ("live", 1, 3, 1, None), ("provider", 3, 4, 1, None)]


def test_an_hour_that_the_provider_may_still_answer_for_is_pending(btc: Market, provider_time: ProviderTime) -> None:
    store(trade(1, NOON + 30 * MINUTE))
    provider_time.set(NOON + HOUR + 600 * SECOND)
    series = read_series(btc, "1h", moment(NOON), moment(NOON + HOUR))
    assert shown(series) == [("pending", 0, 60, 0, "provider not final")]
    assert [row[8:10] for row in series.rows] == [("partial", False)]
    provider_time.set(NOON + HOUR + 700 * SECOND)
    series = read_series(btc, "1h", moment(NOON), moment(NOON + HOUR))
    assert shown(series) == [("partial", 0, 60, 0, "before the feed began")]
    assert [row[8:10] for row in series.rows] == [("partial", True)]


def test_without_bounds_the_newest_buckets_up_to_the_open_one_are_read(
    btc: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 30 * SECOND)
    series = read_series(btc, "5m")
    assert (micros(series.stop) - NOON, micros(series.start) - NOON) == (5 * MINUTE, -495 * 5 * MINUTE - 4 * 5 * MINUTE)
    assert read_series(btc, "5m", limit=2).start == moment(NOON - 5 * MINUTE)


def test_bounds_are_widened_to_whole_buckets_and_cut_by_the_limit(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON)
    series = read_series(btc, "15m", moment(NOON - 44 * MINUTE), moment(NOON - MINUTE))
    assert (series.start, series.stop) == (moment(NOON - 45 * MINUTE), moment(NOON))
    series = read_series(btc, "15m", moment(NOON - 44 * MINUTE), moment(NOON - MINUTE), limit=2)
    assert (series.start, series.stop) == (moment(NOON - 45 * MINUTE), moment(NOON - 15 * MINUTE))
    series = read_series(btc, "15m", None, moment(NOON - MINUTE), limit=2)
    assert (series.start, series.stop) == (moment(NOON - 30 * MINUTE), moment(NOON))


def test_only_closed_rows_come_where_only_they_are_asked_for(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 2 * MINUTE + 20 * SECOND)
    store(
        opened(1, NOON),
        *(trade(n, NOON + (n - 2) * MINUTE) for n in (2, 3, 4)),
        watermark(5, NOON + 2 * MINUTE + 15 * SECOND),
    )
    series = read_series(btc, "1m", moment(NOON))
    assert [row[9] for row in series.rows] == [True, True, False]
    only = read_series(btc, "1m", moment(NOON), closed_only=True)
    assert only.rows == series.rows[:2]
    assert only.segments == series.segments
    assert only.complete_until == moment(NOON + 2 * MINUTE)


def test_a_hole_says_what_is_done_about_it(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + HOUR)
    GapRepair.objects.create(
        market=btc, resolution=60, start=moment(NOON), stop=moment(NOON + MINUTE), reason="too old", final=True
    )
    first, second = read_series(btc, "1m", moment(NOON), moment(NOON + 2 * MINUTE)).segments
    assert first.repair == {"reason": "too old", "code": "other", "attempts": 0, "next_try": None, "final": True}
    assert (first.stop, second.repair) == (moment(NOON + MINUTE), None)


def test_a_candle_that_is_not_what_its_trades_make_is_found(btc: Market) -> None:
    store(trade(1, NOON, "1.50"), trade(2, NOON + MINUTE, "3"))
    assert differences(btc, moment(NOON), moment(NOON + MINUTE)) == []
    Candle.objects.filter(resolution=60, open_time=moment(NOON)).update(volume=2)
    Candle.objects.filter(resolution=3600).delete()
    numbers = ("1.5", "1.5", "1.5", "1.5", "1", "1.5", "1")
    assert differences(btc, moment(NOON), moment(NOON + 1)) == [
        Difference(60, moment(NOON), (*numbers[:4], "2", *numbers[5:]), numbers),
        Difference(3600, moment(NOON), None, ("1.5", "3", "1.5", "3", "2", "4.5", "2")),
    ]
    assert differences(btc, moment(NOON + 24 * HOUR), moment(NOON + 25 * HOUR)) == []


@pytest.mark.django_db(transaction=True)
def test_rows_and_certificate_speak_of_the_same_moment(
    provider_time: ProviderTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    btc = ensure_markets([BTC])[0]
    provider_time.set(NOON + HOUR)
    store(opened(1, NOON), trade(2, NOON), watermark(3, NOON + 5 * MINUTE))
    before = read_series(btc, "1m", moment(NOON), moment(NOON + 5 * MINUTE))
    rows = rows_of

    def write_between(*known: Any) -> Sequence[Rows]:
        own = connections["default"]
        connections["default"] = other = own.copy()
        try:
            store(trade(4, NOON + MINUTE))
        finally:
            other.close()
            connections["default"] = own
        return rows(*known)

    monkeypatch.setattr(reader, "rows_of", write_between)
    assert read_series(btc, "1m", moment(NOON), moment(NOON + 5 * MINUTE)).rows == before.rows
    monkeypatch.undo()
    after = read_series(btc, "1m", moment(NOON), moment(NOON + 5 * MINUTE))
    assert (len(before.rows), len(after.rows), after.version) == (1, 2, before.version + 1)
    assert connection.in_atomic_block is False


@pytest.mark.django_db(transaction=True)
def test_a_reading_leaves_the_connection_as_it_was(provider_time: ProviderTime) -> None:
    btc = ensure_markets([BTC])[0]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), snapshot():
            execute("select 1")
            assert fetch_value("show transaction_isolation") == "repeatable read"
            assert fetch_value("show transaction_read_only") == "on"
            raise ZeroDivisionError
        assert fetch_value("show transaction_isolation") == "read committed"
        store(opened(1, NOON))
        assert read_series(btc, "1m", limit=1).count == 0


def test_a_run_of_stored_and_made_hours_keeps_their_order(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 9 * HOUR)
    # One hole of many hours: those of trades alone are stored as hours, the one with the provider's minutes is made.
    answered(btc, 60, NOON + 3 * HOUR, NOON + 3 * HOUR + 10 * MINUTE, NOON + 3 * HOUR)
    store(*(trade(n + 1, NOON + n * HOUR + 30 * MINUTE, str(n + 1)) for n in range(6)))
    series = read_series(btc, "1h", moment(NOON), moment(NOON + 7 * HOUR))
    assert [(row[0] - NOON // 1000) // 3_600_000 for row in series.rows] == [0, 1, 2, 3, 4, 5]
    assert [row[4] for row in series.rows] == ["1", "2", "3", "4", "5", "6"]
    assert shown(series)[-1][:3] == ("gap", 360, 420)


def test_a_range_of_no_length_is_the_bucket_that_it_lies_in(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + HOUR)
    store(opened(1, NOON), trade(2, NOON + 5 * SECOND), watermark(3, NOON + MINUTE))
    for timeframe, state in (("1m", "live"), ("5m", "partial")):
        for stop in (NOON, NOON - MINUTE):
            series = read_series(btc, timeframe, moment(NOON), moment(stop))
            assert [segment.state for segment in series.segments] == [state]
            assert series.count == 1
