"""Markets, timeframes and the quarantine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import DeadLetter, Market
from datastore.reference.markets import ensure_markets, market_of
from datastore.symbol import BadSymbol
from datastore.timeframes.timeframe import TIMEFRAMES
from streaming.refusals import Refusal, RefusalCode
from tests.support.datastore.records import micros, moment
from tests.support.datastore.reference import floor_bucket, next_bucket

times = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))


@pytest.mark.django_db
def test_markets_are_made_once_with_the_providers_names() -> None:
    made = ensure_markets(["kraken:BTC-EUR", "bitmex:XBT-USD", "kraken:BTC-EUR"])
    assert [market.symbol for market in made] == ["kraken:BTC-EUR", "bitmex:XBT-USD"]
    assert [market.provider_exchange for market in made] == ["Kraken", "BitMEX"]
    again = ensure_markets(["kraken:BTC-EUR"])
    assert (again[0].pk, again[0].series) == (made[0].pk, made[0].series)
    assert Market.objects.count() == 2
    found = market_of("kraken:BTC-EUR")
    assert found is not None
    assert (found.exchange, found.base, found.quote, found.provider_base) == ("kraken", "BTC", "EUR", "BTC")
    assert market_of("kraken:BTC-GBP") is None


@pytest.mark.parametrize("symbol", ["", "BTC-USD", "Coinbase:BTC-USD", "coinbase:BTC/USD", "coinbase:BTC", "a:B-C\n"])
def test_a_name_that_is_no_market_is_refused(symbol: str) -> None:
    with pytest.raises(BadSymbol, match="exchange:BASE-QUOTE"):
        ensure_markets([symbol])


@given(time=times, name=st.sampled_from(list(TIMEFRAMES)))
def test_every_time_lies_in_one_bucket_of_each_timeframe(time: datetime, name: str) -> None:
    frame = TIMEFRAMES[name]
    start = frame.floor(time)
    assert start <= time < frame.after(start)
    assert (micros(start), micros(frame.after(start))) == (
        floor_bucket(name, micros(time)),
        next_bucket(name, floor_bucket(name, micros(time))),
    )
    assert frame.floor(start) == frame.ceil(start) == start
    assert frame.ceil(time) in (start, frame.after(start))


@given(time=times, count=st.integers(-200, 200), name=st.sampled_from(list(TIMEFRAMES)))
def test_buckets_are_counted_alike_in_both_directions(time: datetime, count: int, name: str) -> None:
    frame = TIMEFRAMES[name]
    start = frame.floor(time)
    there = frame.after(start, count)
    assert frame.between(start, there) == count
    assert frame.after(there, -count) == start
    assert frame.floor(there) == there


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    time = moment(1_709_251_199_000_000)  # 2024-02-29 23:59:59, a Thursday
    assert TIMEFRAMES["1w"].floor(time) == datetime(2024, 2, 26, tzinfo=UTC)
    assert TIMEFRAMES["1M"].floor(time) == datetime(2024, 2, 1, tzinfo=UTC)
    assert TIMEFRAMES["1M"].after(datetime(2024, 2, 1, tzinfo=UTC), 11) == datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.django_db
def test_a_dead_letter_is_kept_once_per_place_and_without_a_place_each_time() -> None:
    store_dead_letters(
        [
            DeadLetterRecord(
                "tick-data", "coinbase:BTC-USD", Refusal(RefusalCode.UNREADABLE, "not JSON"), b"\xff{", "7-0"
            )
        ]
    )
    store_dead_letters(
        [
            DeadLetterRecord("tick-data", None, Refusal(RefusalCode.UNREADABLE, "not JSON"), b"\xff{", "7-0"),
            DeadLetterRecord("tick-data", "zero\0byte", Refusal(RefusalCode.OTHER, "odd"), b"\0", "8-0"),
            DeadLetterRecord("tick-data", None, Refusal(RefusalCode.UNREADABLE, "frame"), b"a"),
            DeadLetterRecord("tick-data", None, Refusal(RefusalCode.UNREADABLE, "frame"), b"a"),
        ]
    )
    kept = DeadLetter.objects.order_by("id").values_list("market", "reason", "position")
    assert list(kept) == [
        ("coinbase:BTC-USD", "not JSON", "7-0"),
        ("zerobyte", "odd", "8-0"),
        (None, "frame", ""),
        (None, "frame", ""),
    ]
    assert bytes(DeadLetter.objects.earliest("id").raw) == b"\xff{"
