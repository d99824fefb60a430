from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.reference.traits import OpenPrice
from datastore.timeframes.intervals import SECOND_US
from ingestion.history.pages import (
    PageOrigin,
    PageRequest,
    answers,
    final_stop,
    next_page,
    pages_of,
    records_of,
    whole_buckets,
)
from ingestion.providers.answers import CandlePage as Page
from ingestion.providers.answers import CandleRow as Row
from ingestion.providers.cryptocompare.provider import last_and_before
from ingestion.providers.cryptocompare.traits import TRAITS
from streaming.history_records import HistoryRecord, ProviderCandle, ProviderSpan

CANDLES = TRAITS.candles
PAGE_BUCKETS = CANDLES.rows_per_page
MINUTE = 60
NOW = 1_795_435_200
ASKED = PageRequest(MINUTE, (NOW - 3600) * SECOND_US, (NOW - 3600 + 5 * MINUTE) * SECOND_US)
ASKER = PageOrigin("coinbase:BTC-USD", 7, 2, 3)
FIRST = NOW - 3600


def row(time: int, volume: str = "1", price: str = "10", **other: str) -> Row:
    prices: dict[str, Any] = {name: Decimal(other.get(name, price)) for name in ("open", "high", "low", "close")}
    return Row(time=time, volume=Decimal(volume), quote_volume=Decimal(volume) * 10, **prices)


def numbers(texts: dict[str, str]) -> dict[str, Any]:
    return {name: Decimal(text) for name, text in texts.items()}


def minutes(*places: int) -> list[Row]:
    return [row(FIRST + place * MINUTE) for place in places]


def said(rows: list[Row], at: int = NOW, asked: PageRequest = ASKED) -> list[HistoryRecord]:
    return records_of(CANDLES, Page(tuple(rows), 0, at * SECOND_US), asked, ASKER)


def spans(records: list[HistoryRecord]) -> list[tuple[int, int]]:
    """Return the proven minutes, counted from the first that was asked for."""
    found = [record for record in records if isinstance(record, ProviderSpan)]
    return [((span.start // SECOND_US - FIRST) // MINUTE, (span.stop // SECOND_US - FIRST) // MINUTE) for span in found]


def candles(records: list[HistoryRecord]) -> list[int]:
    found = [record for record in records if isinstance(record, ProviderCandle)]
    return [(candle.open_time // SECOND_US - FIRST) // MINUTE for candle in found]


def test_a_whole_page_is_its_candles_and_one_span_behind_them() -> None:
    records = said(minutes(0, 1, 2, 3, 4))
    assert candles(records) == [0, 1, 2, 3, 4]
    span = records[-1]
    assert isinstance(span, ProviderSpan)
    assert (span.start, span.stop, span.page, span.pages, span.candles) == (ASKED.start, ASKED.stop, 2, 3, 5)


def test_rows_of_other_pages_of_another_step_and_of_other_times_are_left_out() -> None:
    strays = [row(FIRST - MINUTE), row(FIRST + 5 * MINUTE), row(FIRST + 30), row(0), row(-60), row(10**15)]
    assert said(strays + minutes(4, 2, 0, 1, 3, 3)) == said(minutes(0, 1, 2, 3, 4))
    assert not answers(Page((row(0), row(FIRST - MINUTE)), 0, NOW * SECOND_US), ASKED)


def test_a_row_that_is_missing_or_said_twice_in_two_ways_leaves_a_hole() -> None:
    assert spans(said([*minutes(0, 1, 3, 4), row(FIRST, price="11")])) == [(1, 2), (3, 5)]


def test_a_row_that_cannot_be_true_leaves_a_hole() -> None:
    bad = [
        row(FIRST, low="11"),
        row(FIRST + MINUTE, price="-10"),
        row(FIRST + 2 * MINUTE, volume="-1"),
        row(FIRST + 3 * MINUTE, price="1e30"),
    ]
    assert spans(said([*bad, *minutes(4)])) == [(4, 5)]


def test_an_open_outside_of_low_and_high_is_the_close_before() -> None:
    assert candles(said([row(FIRST, open="12")])) == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"quote_volume": "37.5"},
        {"open": "200", "high": "205", "low": "199", "close": "204"},
        {"open": "200", "high": "205", "low": "199", "close": "204", "quote_volume": "37.5"},
    ],
)
def test_volume_0_with_a_price_that_moved_or_a_quote_volume_is_a_candle(changes: dict[str, str]) -> None:
    moved = replace(row(FIRST, volume="0"), **numbers(changes))
    one, span = said([moved])
    assert isinstance(one, ProviderCandle) and isinstance(span, ProviderSpan)
    assert (one.volume, one.high, one.quote_volume) == (Decimal(0), moved.high, moved.quote_volume)
    assert (span.candles, span.zeros) == (1, ())


@pytest.mark.parametrize("changes", [{"open": "5"}, {"close": "5"}, {"quote_volume": "5"}])
def test_prices_of_0_beside_others_prove_nothing(changes: dict[str, str]) -> None:
    torn = replace(row(FIRST, volume="0", price="0"), **numbers(changes))
    assert said([torn]) == []


def test_volume_0_proves_that_nothing_was_traded_and_prices_of_0_are_named() -> None:
    records = said([row(FIRST, volume="0"), row(FIRST + MINUTE, volume="0.0", price="0"), *minutes(2)])
    assert candles(records) == [2]
    assert spans(records) == [(0, 3)]
    span = records[-1]
    assert isinstance(span, ProviderSpan)
    assert span.zeros == ((FIRST + MINUTE) * SECOND_US,)
    assert span.candles == 1


def test_a_row_is_final_once_its_end_lies_a_cache_age_back() -> None:
    end = FIRST + 5 * MINUTE
    assert spans(said(minutes(0, 1, 2, 3, 4), at=end + 60)) == [(0, 5)]
    assert spans(said(minutes(0, 1, 2, 3, 4), at=end + 59)) == [(0, 4)]
    assert said(minutes(0, 1, 2, 3, 4), at=FIRST) == []
    assert final_stop(CANDLES, (NOW + 659) * SECOND_US, 3600) == (NOW - 3600) * SECOND_US
    assert final_stop(CANDLES, (NOW + 660) * SECOND_US, 3600) == NOW * SECOND_US


def test_pages_go_backwards_by_2000_and_ask_for_one_row_more() -> None:
    start, stop = 0, 4100 * MINUTE * SECOND_US
    asked = next_page(CANDLES, start, stop, MINUTE)
    assert asked is not None
    assert (*last_and_before(asked.of("")), asked.start) == (4099 * MINUTE, PAGE_BUCKETS, 2100 * MINUTE * SECOND_US)
    assert next_page(CANDLES, start, start, MINUTE) is None


@given(st.sampled_from([60, 3600, 86_400]), st.integers(0, 10**15), st.integers(1, 10**13))
def test_pages_cover_a_span_without_a_hole_or_an_overlap(resolution: int, start: int, length: int) -> None:
    low, reached = whole_buckets(start, start + length, resolution)
    assert low <= start < start + length <= reached
    total = pages_of(CANDLES, low, reached, resolution)
    asked = next_page(CANDLES, low, reached, resolution)
    count = 0
    while asked and count < 50:
        assert asked.stop == reached
        assert 1 <= last_and_before(asked.of(""))[1] <= PAGE_BUCKETS
        count, reached = count + 1, asked.start
        asked = next_page(CANDLES, low, reached, resolution)
    assert count == min(total, 50)
    assert asked is not None or reached == low


@given(st.lists(st.integers(-3, 8)), st.integers(0, 10))
def test_exactly_the_final_minutes_that_were_sent_are_proven(numbers: list[int], final: int) -> None:
    records = said(minutes(*numbers), at=FIRST + final * MINUTE + 60)
    proven = {minute for first, after in spans(records) for minute in range(first, after)}
    assert proven == {number for number in numbers if 0 <= number < min(5, final)}
    assert candles(records) == sorted(proven)


def test_an_open_beside_low_and_high_is_the_close_before_or_no_open() -> None:
    """It depends on what the provider's candles open with."""
    page = Page((row(FIRST, open="9", low="10"),), 0, NOW * SECOND_US)
    first_trade = replace(CANDLES, opens_with=OpenPrice.FIRST_TRADE)
    assert candles(records_of(CANDLES, page, ASKED, ASKER)) == [0]
    assert records_of(first_trade, page, ASKED, ASKER) == []


def test_a_row_without_a_quote_volume_is_not_whole_and_proves_nothing() -> None:
    assert said([replace(row(FIRST), quote_volume=None)]) == []
