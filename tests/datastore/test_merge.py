from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction

from datastore.clock import save_clock
from datastore.markets import ensure_markets
from datastore.merge import Series, read_series
from datastore.models import Market
from datastore.queries import fetch_value
from datastore.writes import store_live
from streaming.records import LiveRecord
from tests.datastore.records import BTC, MINUTE, NOON, SECOND, closed, micros, moment, opened, trade, watermark

pytestmark = pytest.mark.django_db


@pytest.fixture
def btc() -> Market:
    return ensure_markets([BTC])[0]


def at(now: int) -> None:
    """Set the provider's time; it then runs on."""
    with connection.cursor() as cursor:
        cursor.execute("delete from provider_clock")
    database = micros(fetch_value("select statement_timestamp()"))
    save_clock(timedelta(microseconds=now - database), moment(now))


def store(*records: LiveRecord) -> None:
    with transaction.atomic():
        store_live(records)


def shown(series: Series) -> list[tuple[str, int, int, str, int, str | None]]:
    """Return the segments with their times in minutes from noon."""
    return [
        (
            segment.state,
            (micros(segment.start) - NOON) // MINUTE,
            (micros(segment.stop) - NOON) // MINUTE,
            segment.quiet,
            segment.reason,
        )
        for segment in series.segments
    ]


def test_live_minutes_around_a_hole_are_named_to_the_bucket(btc: Market) -> None:
    at(NOON + 10 * MINUTE + 20 * SECOND)
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
