"""A provider's candle whose open or close lies outside its range: served within it, counted, and raw on request."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from consumers.metrics import BatchMetrics
from datastore.backfill.history_write import store_history
from datastore.models import Market
from datastore.series.tickers import read_tickers
from metering.table import DIFFERENCES
from streaming.history_records import HistoryRecord, ProviderCandle, ProviderSpan
from tests.support.api.rows import SYMBOL, at, body_of

SPAN = f"market={SYMBOL}&from={at(-600) // 1000}&to={at(-300) // 1000}"
# open, high, low, close: as given, and as served
GIVEN = [
    ("95", "110", "100", "105"),  # the close before, below the range
    ("115", "110", "100", "105"),  # above it
    ("105", "110", "100", "112"),  # a close above the range
    ("99", "110", "100", "98"),  # a close below it, and an open between
    ("105", "110", "100", "100"),  # nothing to mend
]
SERVED = [
    ("100", "110", "100", "105"),
    ("110", "110", "100", "105"),
    ("105", "112", "100", "112"),
    ("99", "110", "98", "98"),
    ("105", "110", "100", "100"),
]


@pytest.fixture
def odd(market: Market) -> Market:
    """Five of the provider's minutes; the batch is counted as a consumer counts it."""
    before = differences()
    where: Any = {"market": SYMBOL, "request": 1, "resolution": 60}
    records: list[HistoryRecord] = [
        ProviderCandle(
            **where,
            open_time=at(-600 + 60 * number),
            volume=Decimal(2),
            quote_volume=None,
            open=Decimal(opened),
            high=Decimal(high),
            low=Decimal(low),
            close=Decimal(close),
        )
        for number, (opened, high, low, close) in enumerate(GIVEN)
    ]
    records.append(ProviderSpan(**where, start=at(-600), stop=at(-300), page=1, pages=1))
    for repeat in range(2):  # a batch that comes again changes nothing
        with transaction.atomic():
            result = store_history(records)
        BatchMetrics("candle-data").stored(len(records), result.changes, None)
        assert differences() - before == 2, repeat
    return market


def differences() -> float:
    count: float = DIFFERENCES.labels(SYMBOL)._value.get()
    return count


def prices_of(client: Client, query: str) -> list[tuple[str, ...]]:
    return [tuple(row[1:5]) for row in body_of(client, f"/api/v1/candles?{SPAN}&{query}")["candles"]]


def test_prices_lie_in_their_range_and_raw_shows_what_was_given(client: Client, odd: Market) -> None:
    assert prices_of(client, "timeframe=1m") == SERVED
    assert prices_of(client, "timeframe=1m&raw=1") == GIVEN
    assert "raw=1" in body_of(client, f"/api/v1/candles?{SPAN}&timeframe=1m&raw=1&limit=2")["next"]
    for raw, expected in ((0, SERVED), (1, GIVEN)):
        answer: Any = client.get(f"/api/v1/candles?{SPAN}&timeframe=1m&raw={raw}&format=ndjson")
        rows = [json.loads(line) for line in answer.getvalue().splitlines()]
        assert [(row["open"], row["high"], row["low"], row["close"]) for row in rows] == expected


def test_a_newest_answer_that_is_cached_is_not_given_for_a_raw_one(client: Client, odd: Market) -> None:
    address = f"/api/v1/candles?market={SYMBOL}&timeframe=1m&limit=1000"
    for _ in range(2):
        for query, expected in (("", SERVED), ("&raw=1", GIVEN)):
            assert [tuple(row[1:5]) for row in body_of(client, address + query)["candles"]] == expected


def test_the_last_day_at_a_glance_has_the_same_prices(odd: Market) -> None:
    (ticker,) = read_tickers([odd.pk])
    day = ticker.statistics
    assert (day.open, day.high, day.low, day.close) == ("100", "112", "98", "100")
