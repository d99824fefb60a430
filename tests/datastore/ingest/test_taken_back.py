"""Claims that shrink: evidence that comes later takes back what was proven, and every follower is notified."""

from __future__ import annotations

import pytest

from datastore.backfill import gap_repair
from datastore.models import Coverage, CoverageChange, FetchRequest, Market
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from datastore.sse.delta import Delta, Gap, Row
from datastore.sse.delta_reader import read_delta, read_position
from datastore.timeframes.timeframe import TIMEFRAMES
from streaming.records import FeedClosed, decode, encode
from tests.support.datastore.answers import answered, candle
from tests.support.datastore.answers import store as store_answers
from tests.support.datastore.provider_time import ProviderTime, provider_time
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
)  # fmt: skip

__all__ = ["provider_time"]

pytestmark = pytest.mark.django_db
REASON = "the provider's numbering lacks 1 trade"


@pytest.fixture
def market() -> Market:
    return ensure_markets([BTC])[0]


def take_back(n: int, certain: int, *, feed: str = "tick-data/one", stop: int | None = None) -> FeedClosed:
    return closed(n, stop, REASON, feed=feed, certain=certain)


def spans(market: Market) -> list[tuple[int, int, str | None]]:
    rows = Coverage.objects.filter(market=market, source="live").order_by("start", "stop")
    return [(micros(row.start) - NOON, micros(row.stop) - NOON, row.reason) for row in rows]


def states(market: Market) -> list[tuple[str, int, str | None]]:
    series = read_series(market, "1m", moment(NOON), moment(NOON + 6 * MINUTE))
    return [(one.state, (one.stop - one.start).seconds // 60, one.reason) for one in series.segments]


def test_the_minute_of_a_trade_that_was_lost_in_silence_is_a_gap_then_the_providers(
    market: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 10 * MINUTE)
    store(opened(1, NOON), trade(2, NOON + 70 * SECOND, seq=1), watermark(3, NOON + 6 * MINUTE))
    assert states(market) == [("live", 6, None)]
    before = read_series(market, "1m", moment(NOON), moment(NOON + 6 * MINUTE))
    certain, again = NOON + 65 * SECOND, NOON + 150 * SECOND
    result = store(
        trade(4, again, seq=3),
        take_back(5, certain, stop=NOON + 6 * MINUTE),
        watermark(6, again, again, seen=again),
        watermark(7, NOON + 6 * MINUTE, again),
    )
    (change,) = result.changes
    assert (change.changed, change.taken_back_s) == (True, 295)
    assert spans(market) == [(0, 65 * SECOND, REASON), (150 * SECOND, 6 * MINUTE, None)]
    assert states(market) == [("live", 1, None), ("partial", 2, REASON), ("live", 3, None)]
    after = read_series(market, "1m", moment(NOON), moment(NOON + 6 * MINUTE))
    assert after.version > before.version
    gap_repair.scan()
    asked = FetchRequest.objects.filter(market=market, resolution=60)
    assert asked.filter(start__lte=moment(NOON + MINUTE), stop__gte=moment(NOON + 3 * MINUTE)).exists()
    rows = [candle(NOON + MINUTE, "140", "7"), candle(NOON + 2 * MINUTE, "100", "1")]
    store_answers(*rows, answered(NOON + MINUTE, NOON + 3 * MINUTE))
    assert states(market) == [("live", 1, None), ("provider", 2, None), ("live", 3, None)]
    (first, *_) = read_series(market, "1m", moment(NOON + MINUTE), moment(NOON + 6 * MINUTE)).rows
    assert first[1:7] == ("140", "140", "140", "140", "7", "980")


def test_every_span_of_the_feed_is_cut_and_no_other_feeds(market: Market) -> None:
    other = "tick-data/two"
    store(
        opened(1, NOON),
        watermark(2, NOON + MINUTE),
        closed(3, None),
        watermark(4, NOON + 2 * MINUTE, NOON + 2 * MINUTE),
        watermark(5, NOON + 3 * MINUTE, NOON + 2 * MINUTE),
        opened(1, NOON, feed=other),
        watermark(2, NOON + 90 * SECOND, feed=other),
    )
    store(take_back(6, NOON + 30 * SECOND))
    assert spans(market) == [(0, 30 * SECOND, REASON), (0, 90 * SECOND, None)]
    store(take_back(7, NOON + 30 * SECOND))
    changes = CoverageChange.objects.filter(market=market, what="live").order_by("id")
    assert [(micros(row.start) - NOON, micros(row.stop) - NOON) for row in changes][-2:] in (
        [(30 * SECOND, MINUTE), (2 * MINUTE, 3 * MINUTE)],
        [(2 * MINUTE, 3 * MINUTE), (30 * SECOND, MINUTE)],
    )


def test_in_one_batch_nothing_of_it_is_ever_stored(market: Market) -> None:
    store(opened(1, NOON), watermark(2, NOON + MINUTE), take_back(3, NOON + 30 * SECOND, stop=NOON + 40 * SECOND))
    assert spans(market) == [(0, 30 * SECOND, REASON)]
    store(opened(4, NOON + 2 * MINUTE), watermark(5, NOON + 3 * MINUTE, NOON + 2 * MINUTE), take_back(6, NOON + 50))
    assert spans(market) == [(0, 50, REASON)]


def test_a_bridge_is_taken_back_with_the_span_that_proved_it(market: Market) -> None:
    known = trade(1, NOON - MINUTE, feed="tick-data/before", id="a")
    store(known)
    again = trade(1, NOON - MINUTE, id="a")
    store(again, opened(2, NOON, replayed=[again]), watermark(3, NOON + MINUTE))
    assert spans(market) == [(1000 - MINUTE, 0, None), (0, MINUTE, None)]
    store(take_back(4, NOON - 30 * SECOND))
    assert spans(market) == [(1000 - MINUTE, -30 * SECOND, REASON)]


def test_the_watermark_goes_back_with_the_claim_and_a_minute_is_open_again(
    market: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 100 * SECOND)
    store(opened(1, NOON), trade(2, NOON + 2 * SECOND), watermark(3, NOON + 95 * SECOND))
    shown, _ = read_position(market)
    assert read_series(market, "1m", moment(NOON), moment(NOON + MINUTE)).rows[0][9] is True
    store(take_back(4, NOON + 30 * SECOND))
    market.refresh_from_db()
    assert market.watermark == market.live_stop == moment(NOON + 30 * SECOND)
    delta = read_delta(market, TIMEFRAMES["1m"], shown)
    assert isinstance(delta, Delta)
    rows = [row for row in delta.rows if row.open == NOON // 1000]
    assert ['"live",false' in row.text for row in rows] == [True]
    assert delta.upto.watermark == (NOON + 30 * SECOND) // 1000


def test_followers_are_told_of_the_gap(market: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 10 * MINUTE)
    store(opened(1, NOON), trade(2, NOON + 2 * SECOND), watermark(3, NOON + 6 * MINUTE))
    shown, _ = read_position(market)
    store(take_back(4, NOON + 30 * SECOND))
    delta = read_delta(market, TIMEFRAMES["1m"], shown)
    assert isinstance(delta, Delta)
    told: list[Row | Gap] = [*delta.rows, *delta.gaps]
    assert all(one.version == shown.version + 1 for one in told if one.version)
    assert [('"partial"' in row.text) for row in delta.rows if row.open == NOON // 1000] == [True]
    assert {gap.start for gap in delta.gaps} >= {NOON // 1000, (NOON + MINUTE) // 1000}
    assert all(REASON in gap.text for gap in delta.gaps)


def test_a_record_from_before_there_was_the_field_is_read() -> None:
    old = b'{"type":"feed_closed","market":"a:B-C","feed":"t/1","n":1,"start":5,"stop":9,"reason":"socket lost"}'
    record = decode(old)
    assert isinstance(record, FeedClosed)
    assert record.certain is None
    assert decode(encode(record)) == record
