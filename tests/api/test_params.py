from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.api.errors import BadParameters
from datastore.api.params import query_params
from datastore.timeframes.timeframe import TIMEFRAMES

ENOUGH = {"market": ["coinbase:BTC-USD"], "timeframe": ["1m"]}


def complaint(query: dict[str, list[str]], name: str) -> str:
    with pytest.raises(BadParameters) as caught:
        query_params.candles_question(ENOUGH | query)
    assert list(caught.value.errors) == [name]
    return caught.value.errors[name][0]


def test_a_question_has_the_defaults_of_the_interface() -> None:
    question = query_params.candles_question(ENOUGH)
    assert question == query_params.SeriesQuestion("coinbase:BTC-USD", "1m", None, None, None, False, "string")


def test_every_parameter_is_read() -> None:
    query = {"from": ["2026-11-23"], "to": ["1795435200"], "limit": ["7"], "closed_only": ["1"]}
    query |= {"numbers": ["float"], "format": ["json"], "fill": ["flat"]}
    question = query_params.candles_question(ENOUGH | query)
    assert question.start == datetime(2026, 11, 23, tzinfo=UTC)
    assert question.stop == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert (question.limit, question.closed_only, question.numbers, question.fill) == (7, True, "float", "flat")


def test_an_unknown_parameter_is_named_with_the_accepted_ones() -> None:
    sentence = complaint({"timefram": ["1m"]}, "timefram")
    assert all(name in sentence for name in query_params.CANDLES)


@pytest.mark.parametrize("name", ["xlsx", "CSV", "orc"])
def test_a_format_that_is_not_served_is_told_those_that_are(name: str) -> None:
    sentence = complaint({"format": [name]}, "format")
    assert "is unknown. Accepted: json, csv, ndjson, ccxt, binance, arrow, parquet, feather." in sentence


def test_an_unknown_fill_is_told_all_of_them() -> None:
    assert "Accepted: none, null, flat" in complaint({"fill": ["zero"]}, "fill")


@pytest.mark.parametrize("text", ["0", "10001", "-1", "1.5", "many", "٣", "1e3", " 1"])
def test_a_limit_outside_its_range_is_refused(text: str) -> None:
    assert "from 1 to 10000" in complaint({"limit": [text]}, "limit")


@pytest.mark.parametrize("text", ["1S", "60", "1H", "1min"])
def test_an_unknown_timeframe_is_told_all_of_them(text: str) -> None:
    sentence = complaint({"timeframe": [text]}, "timeframe")
    assert all(f" {name}" in sentence for name in TIMEFRAMES)


def test_a_minute_is_not_a_month() -> None:
    assert query_params.candles_question(ENOUGH | {"timeframe": ["1M"]}).timeframe == "1M"


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        ({"closed_only": ["maybe"]}, "closed_only", "neither yes nor no"),
        ({"numbers": ["int"]}, "numbers", "Accepted: string, float"),
        ({"format": ["xml"]}, "format", "unknown. Accepted: json"),
        ({"limit": ["1", "2"]}, "limit", "given 2 times"),
        ({"limit": [""]}, "limit", "is empty"),
        ({"from": ["1"]}, "from", "not a time between 2000 and 2100"),
        ({"from": ["2026-11-24"], "to": ["2026-11-24"]}, "from", "must lie before to"),
    ],
)
def test_a_bad_value_is_named_with_what_is_accepted(query: dict[str, list[str]], name: str, words: str) -> None:
    assert words in complaint(query, name)


def test_all_complaints_are_told_at_once() -> None:
    with pytest.raises(BadParameters) as caught:
        query_params.candles_question({"timeframe": ["9m"], "limit": ["x"], "y": ["1"]})
    assert set(caught.value.errors) == {"market", "timeframe", "limit", "y"}


def test_a_cursor_and_from_are_not_given_together() -> None:
    with pytest.raises(BadParameters, match="give one of the two"):
        query_params.trades_question({"market": ["a"], "cursor": ["x"], "from": ["2026-11-23"]})


def test_an_address_without_parameters_refuses_them() -> None:
    with pytest.raises(BadParameters, match="Accepted: none"):
        query_params.no_question({"a": ["1"]})


@given(
    st.dictionaries(
        st.sampled_from([*query_params.CANDLES, *query_params.TRADES]) | st.text(max_size=8),
        st.lists(
            st.text(max_size=12) | st.sampled_from(["1m", "2026-11-23", "5", "1", "json"]), min_size=1, max_size=2
        ),
        max_size=6,
    )
)
def test_any_query_is_a_question_or_names_what_is_bad(query: dict[str, list[str]]) -> None:
    for read in (
        query_params.candles_question,
        query_params.coverage_question,
        query_params.trades_question,
        query_params.no_question,
    ):
        try:
            read(query)
        except BadParameters as refused:
            assert refused.errors
            assert all(sentences for sentences in refused.errors.values())


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("30", 30), ("2.71828", 2.71828), ("1e-3", 0.001), ("3E1", 30)]
)
def test_a_wait_is_any_number_as_json_writes_it(text: str, seconds: float) -> None:
    assert query_params.candles_question(ENOUGH | {"wait": [text]}).wait == seconds


@pytest.mark.parametrize("text", ["-1", "30.5", "1e9", "nan", "inf", "0x1", "1_0", ".5", "1e400"])
def test_what_is_no_number_of_seconds_to_wait_is_refused(text: str) -> None:
    assert "from 0 to 30" in complaint({"wait": [text]}, "wait")
