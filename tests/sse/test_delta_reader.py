"""Changes since a cursor, on the real write: whatever happens, a reader's series is what GET candles shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.models import Market
from datastore.sse.cursor import CURSOR_AHEAD, OTHER_HISTORY, TOO_FAR_BEHIND, Cursor, read_cursor
from datastore.sse.delta import Delta, events_of
from datastore.sse.delta_reader import SeriesGone, read_delta, read_position
from datastore.sse.messages import text_of
from datastore.timeframes.timeframe import TIMEFRAMES
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, SECOND
from tests.support.examples import examples, rolled_back
from tests.support.sse.event_log import ClientSeries, Reader
from tests.support.sse.scenario import MarketScenario, shown

pytestmark = pytest.mark.django_db


def small(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


actions = st.one_of(
    st.tuples(st.just("trade"), st.one_of(small(120), small(2_400), small(50_000)), st.integers(1, 99)),
    st.tuples(st.just("prove"), small(10)),
    st.tuples(st.just("pass_"), st.one_of(small(30), small(600), small(8000)).map(lambda seconds: seconds + 2)),
    st.tuples(
        st.just("answer"),
        st.sampled_from([60, 3600, 86400]),
        st.one_of(small(3), small(30)),
        st.integers(1, 8),
        st.lists(small(7), max_size=4),
        st.integers(1, 99),
    ),
    st.tuples(
        st.just("answer_in_parts"),
        st.sampled_from([60, 3600, 86400]),
        small(3),
        st.integers(1, 8),
        st.lists(small(7), max_size=4),
        st.integers(1, 99),
    ),
    st.tuples(st.just("prove_page")),
    st.tuples(st.just("refuse"), small(20)),
    st.tuples(st.just("cancel"), small(20)),
    st.tuples(st.just("lose")),
    st.tuples(st.just("scan")),
)


def place(text: str | None) -> Cursor:
    found = read_cursor(str(text))
    assert found is not None
    return found


def follow(series: ClientSeries, market: Market, timeframe: str, drawn: Callable[[int], int] | None = None) -> Delta:
    """Let a series follow the changes since its cursor; drawn: after how many events the connection is lost."""
    delta = read_delta(market, TIMEFRAMES[timeframe], place(series.cursor))
    assert isinstance(delta, Delta), delta
    events, reader = events_of(delta), Reader()
    for event in events[: drawn(len(events)) if drawn else None]:
        for told in reader.feed(text_of(event)):
            series.take(told)
    return delta


@examples(150)
@given(
    rounds=st.lists(st.tuples(st.lists(actions, max_size=6), st.booleans()), min_size=1, max_size=5),
    timeframe=st.sampled_from(list(TIMEFRAMES)),
    data=st.data(),
)
@rolled_back
def test_a_book_that_follows_the_changes_is_what_the_answer_shows(
    provider_time: ProviderTime, rounds: list[Any], timeframe: str, data: st.DataObject
) -> None:
    scenario = MarketScenario(provider_time)
    series = ClientSeries.of_answer(shown(scenario.market, timeframe))
    for happened, breaks in rounds:
        for name, *values in happened:
            getattr(scenario, name)(*values)
        if breaks:
            # Drawn without a look at the events: time passes, so their number may be another when it is drawn again.
            place_lost = data.draw(small(60))
            follow(series, scenario.market, timeframe, lambda most, lost=place_lost: lost % (most + 1))
    # The clock runs on by itself: between what is compared, no bucket may begin or end.
    scenario.pass_(62 - scenario.now // SECOND % 60)
    follow(series, scenario.market, timeframe)
    answer = shown(scenario.market, timeframe)
    assert series.rows == {row[0]: row for row in answer["candles"]}
    assert place(series.cursor).version == answer["version"]
    assert series.watermark is not None and answer["watermark"] - series.watermark < 1000


def test_nothing_new_is_nothing_but_the_newest_watermark(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    scenario.trade(0, 5)
    series = ClientSeries.of_answer(shown(scenario.market, "1m"))
    follow(series, scenario.market, "1m")
    again = read_delta(scenario.market, TIMEFRAMES["1m"], place(series.cursor))
    assert isinstance(again, Delta)
    assert [row.version for row in again.rows] == [None]  # the open minute, which only time could have changed
    assert again.gaps == []


def test_a_hole_is_told_when_it_opens_when_it_is_tried_and_when_it_is_filled(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    scenario.pass_(90)
    scenario.prove(5)
    series = ClientSeries.of_answer(shown(scenario.market, "1m"))
    scenario.lose()
    lost_from = scenario.now // MINUTE * MINUTE
    scenario.pass_(600)
    scenario.prove(0)
    scenario.scan()
    follow(series, scenario.market, "1m")
    opened_hole = [hole for hole in series.gaps if hole["state"] == "gap"]
    assert opened_hole[0]["reason"] == "socket lost" and opened_hole[0]["repair"]["attempts"] == 1
    series.gaps.clear()
    scenario.answer(60, 0, 20, [0, 1, 2], 7)
    scenario.scan()
    follow(series, scenario.market, "1m")
    filled = [hole for hole in series.gaps if hole["state"] == "provider"]
    assert filled and min(hole["from"] for hole in filled) <= lost_from // 1000
    assert all(hole["state"] != "gap" for hole in series.gaps)
    assert series.rows == {row[0]: row for row in shown(scenario.market, "1m")["candles"]}


def test_a_candle_that_lost_its_last_trade_is_told_as_one_of_no_trades(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    scenario.trade(0, 5)
    series = ClientSeries.of_answer(shown(scenario.market, "5m"))
    assert len(series.rows) == 1
    scenario.cancel(0)
    delta = follow(series, scenario.market, "5m")
    assert series.rows == {}
    (row,) = [json.loads(row.text) for row in delta.rows]
    assert row[1:8] == [None, None, None, None, "0", "0", 0]


@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h"])
def test_candles_whose_page_is_not_proven_yet_are_not_told_as_minutes_without_trades(
    provider_time: ProviderTime, timeframe: str
) -> None:
    scenario = MarketScenario(provider_time)
    series = ClientSeries.of_answer(shown(scenario.market, timeframe))
    scenario.answer_in_parts(60, 100, 20, [0, 1, 2, 3], 7)
    assert shown(scenario.market, timeframe)["candles"] == []
    delta = follow(series, scenario.market, timeframe)
    assert delta.rows == [], "no answer shows a row there"
    scenario.prove_page()
    follow(series, scenario.market, timeframe)
    assert series.rows and series.rows == {row[0]: row for row in shown(scenario.market, timeframe)["candles"]}


def test_a_span_of_the_feed_over_candles_that_are_not_proven_yet_tells_none_of_them(
    provider_time: ProviderTime,
) -> None:
    scenario = MarketScenario(provider_time)
    scenario.pass_(30)
    scenario.lose()  # the new feed begins within a minute, of which the provider's candle is stored
    scenario.pass_(120)
    series = ClientSeries.of_answer(shown(scenario.market, "1m"))
    scenario.answer_in_parts(60, 0, 4, [0, 1, 2, 3], 7)
    scenario.prove(1)
    delta = follow(series, scenario.market, "1m")
    assert [row for row in map(json.loads, (row.text for row in delta.rows)) if row[1] is None] == []
    scenario.prove_page()
    follow(series, scenario.market, "1m")
    assert series.rows == {row[0]: row for row in shown(scenario.market, "1m")["candles"]}


def test_what_the_provider_proves_changes_candles_whose_rows_it_does_not_touch(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    scenario.trade(900, 5)
    scenario.trade(1200, 6)
    series = ClientSeries.of_answer(shown(scenario.market, "1m"))
    assert {row[8] for row in series.rows.values()} == {"partial"}
    scenario.answer(60, 5, 12, [], 1)  # it says that nothing was traded fifteen minutes ago, where we hold a trade
    follow(series, scenario.market, "1m")
    assert [row[8] for row in series.rows.values()] == ["partial", "partial"], "our trade stays, and is asked again"
    assert series.rows == {row[0]: row for row in shown(scenario.market, "1m")["candles"]}


def test_a_backfill_far_behind_is_told_to_who_follows_the_coarser_timeframe_too(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    series = ClientSeries.of_answer(shown(scenario.market, "1w"))
    scenario.answer(86400, 20, 8, [1, 2], 7)
    follow(series, scenario.market, "1w")
    assert len(series.rows) == 1
    assert series.rows == {row[0]: row for row in shown(scenario.market, "1w")["candles"]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"series": "00000000-0000-0000-0000-000000000000"}, OTHER_HISTORY),
        ({"version": 10**9}, CURSOR_AHEAD),
        ({"watermark": 10**15}, CURSOR_AHEAD),
    ],
)
def test_a_cursor_that_is_not_of_this_history_is_refused_with_the_reason(
    provider_time: ProviderTime, change: dict[str, Any], reason: str
) -> None:
    scenario = MarketScenario(provider_time)
    head, _ = read_position(scenario.market)
    parts = {"series": head.series, "version": head.version, "watermark": head.watermark}
    lost = read_delta(scenario.market, TIMEFRAMES["1m"], Cursor(**{**parts, **change}))
    assert isinstance(lost, SeriesGone) and lost.reason == reason


def test_a_cursor_too_far_behind_is_refused_by_versions_by_rows_and_by_time(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    head, _ = read_position(scenario.market)
    assert head.watermark is not None
    minutes = TIMEFRAMES["1m"]
    Market.objects.filter(pk=scenario.market.pk).update(version=head.version + 10_001)
    assert reason_of(read_delta(scenario.market, minutes, head)) == TOO_FAR_BEHIND
    Market.objects.filter(pk=scenario.market.pk).update(version=head.version)
    old = Cursor(head.series, head.version, head.watermark - 10_001 * 60_000)
    assert reason_of(read_delta(scenario.market, minutes, old)) == TOO_FAR_BEHIND
    assert isinstance(read_delta(scenario.market, TIMEFRAMES["1h"], old), Delta)


def test_more_rows_than_may_be_told_one_by_one_are_refused(provider_time: ProviderTime) -> None:
    scenario = MarketScenario(provider_time)
    head, _ = read_position(scenario.market)
    scenario.answer(60, 0, 10_002, [], 1)
    assert reason_of(read_delta(scenario.market, TIMEFRAMES["1m"], head)) == TOO_FAR_BEHIND


def reason_of(found: Delta | SeriesGone) -> str:
    assert isinstance(found, SeriesGone)
    return found.reason
