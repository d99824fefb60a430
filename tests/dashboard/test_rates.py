from __future__ import annotations

import pytest

from config.monitoring.cached_answer import CachedAnswer
from dashboard import rates
from dashboard.rates import WINDOW_S, RateMeter, storing_totals, totals
from metering import table


class Readings:
    """A clock and counters that a test sets."""

    def __init__(self) -> None:
        self.now, self.counted = 100.0, {"trades": 0.0}
        self.meter = RateMeter(lambda: dict(self.counted), lambda: self.now)

    def after(self, seconds: float, **counted: float) -> dict[str, float]:
        self.now += seconds
        self.counted |= counted
        return self.meter.per_second()


@pytest.fixture
def readings() -> Readings:
    return Readings()


def test_a_rate_needs_two_readings(readings: Readings) -> None:
    assert readings.after(0) == {}
    assert readings.after(2, trades=50) == {"trades": 25}


def test_a_rate_is_that_of_the_last_seconds(readings: Readings) -> None:
    readings.after(0)
    for _ in range(20):
        found = readings.after(2, trades=readings.counted["trades"] + 20)
    assert found == {"trades": 10}
    for _ in range(int(WINDOW_S)):
        found = readings.after(2)
    assert found == {"trades": 0}


def test_what_begins_to_be_counted_has_a_rate_at_once(readings: Readings) -> None:
    readings.after(0)
    assert readings.after(1, calls=3)["calls"] == 3


def test_counters_that_begin_again_are_no_negative_rate(readings: Readings) -> None:
    readings.after(0, trades=1000)
    assert readings.after(2, trades=4) == {}
    assert readings.after(2, trades=8) == {"trades": 2}


def test_readings_from_before_a_pause_do_not_count(readings: Readings) -> None:
    readings.after(0)
    assert readings.after(600, trades=6000) == {}
    assert readings.after(2, trades=6004) == {"trades": 2}


def test_the_counters_are_known_by_what_they_count() -> None:
    before = totals()
    table.TRADES_RECEIVED.labels("coinbase:BTC-USD").inc(2)
    table.TRADES_RECEIVED.labels("kraken:BTC-USD").inc(3)
    table.BATCH_RECORDS.labels("tick-data").observe(40)
    table.HTTP_SECONDS.labels("/api/v1/candles", "GET", "2xx").observe(0.1)
    table.HTTP_SECONDS.labels("/actors", "GET", "2xx").observe(0.1)
    gained = {name: value - before.get(name, 0) for name, value in totals().items()}
    assert {name: value for name, value in gained.items() if value} == {
        "trades received": 5,
        "records tick-data": 40,
        "batches": 1,
        "requests": 1,
    }


def test_what_storing_took_is_a_mean_over_the_trades_of_one_market(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_storing", CachedAnswer(RateMeter(storing_totals).per_second))
    assert rates.storing_ms("a:B-C") is None, "nobody has looked before"
    for market, trades, seconds in (("a:B-C", 3, 0.3), ("a:B-C", 1, 0.5), ("a:X-Y", 10, 90)):
        table.TRADES_STORED.labels(market).inc(trades)
        table.STORING_SECONDS.labels(market).inc(seconds)
    assert rates.storing_ms("a:B-C") == pytest.approx(200)
    assert rates.storing_ms("a:Q-Q") is None
