from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from datastore.ingest.live_write import StoreResult, cancel, digest, rebuild
from datastore.models import Candle, Coverage, FeedPosition, Market, Tick
from datastore.reference.markets import ensure_markets
from streaming.records import LiveRecord
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
    BTC,
    ETH,
    MINUTE,
    NOON,
    SECOND,
    closed,
    details,
    moment,
    opened,
    store,
    trade,
    watermark,
)

pytestmark = pytest.mark.django_db

DAY = 24 * 60 * MINUTE


@pytest.fixture(autouse=True)
def btc() -> Market:
    return ensure_markets([BTC, ETH])[0]


def values_of(row: Candle) -> tuple[object, ...]:
    return (row.open, row.high, row.low, row.close, row.volume, row.quote_volume)


def version_of(market: Market) -> int:
    return Market.objects.get(pk=market.pk).version


def changed_since(version: int) -> list[tuple[int, int]]:
    """Return (resolution, revision) of the candles that changed after a version."""
    rows = Candle.objects.filter(version__gt=version).order_by("resolution", "open_time")
    return [(row.resolution, row.revision) for row in rows]


def test_a_batch_makes_its_minute_hour_and_day(btc: Market) -> None:
    result = store(trade(1, NOON + 5, "100", "2"), trade(2, NOON + 9, "90.50", "1"), trade(3, NOON + 70 * SECOND, "95"))
    assert [(change.market, change.version, change.changed, change.trades_added) for change in result.changes] == [
        (BTC, 1, True, 3)
    ]
    rows = Candle.objects.filter(market=btc).order_by("resolution", "open_time")
    shown = [(row.resolution, *map(str, values_of(row)), row.trades) for row in rows]
    assert shown == [
        (60, "100", "100", "90.5", "90.5", "3", "290.5", 2),
        (60, "95", "95", "95", "95", "1", "95", 1),
        (3600, "100", "100", "90.5", "95", "4", "385.5", 3),
        (86400, "100", "100", "90.5", "95", "4", "385.5", 3),
    ]


def test_an_empty_batch_does_nothing() -> None:
    assert store() == StoreResult()


def test_a_late_trade_changes_exactly_its_minute_hour_and_day(btc: Market) -> None:
    store(*(trade(n, NOON + n * MINUTE) for n in range(1, 5)), trade(5, NOON + DAY), trade(6, NOON + 61 * MINUTE))
    before = version_of(btc)
    store(trade(7, NOON + 2 * MINUTE + 1, "3"))
    assert changed_since(before) == [(60, 1), (3600, 1), (86400, 1)]
    assert version_of(btc) == before + 1


def test_a_batch_of_repeats_changes_nothing(btc: Market) -> None:
    records: list[LiveRecord] = [opened(1, NOON), trade(2, NOON + 1), watermark(3, NOON + MINUTE)]
    store(*records)
    before = version_of(btc), digest(btc), list(Coverage.objects.values()), list(FeedPosition.objects.values())
    (change,) = store(*records).changes
    assert not change.changed and change.trades_added == 0
    assert before == (
        version_of(btc),
        digest(btc),
        list(Coverage.objects.values()),
        list(FeedPosition.objects.values()),
    )


def test_the_first_receipt_of_a_trade_stays() -> None:
    store(trade(1, NOON, received_at=NOON + 7))
    store(trade(1, NOON, received_at=NOON + 9, feed="tick-data/two"))
    assert Tick.objects.get().received_at == moment(NOON + 7)


def test_ties_are_broken_by_number_then_by_the_bytes_of_the_id(btc: Market) -> None:
    store(
        trade(1, NOON, "1", id="z"),
        trade(2, NOON, "2", id="b", seq=2),
        trade(3, NOON, "3", id="a", seq=1),
        trade(4, NOON, "4", id="Z"),
        trade(5, NOON, "5", id="é"),
    )
    row = Candle.objects.get(resolution=60)
    assert (row.open, row.close) == (Decimal(3), Decimal(5))


def test_a_cancelled_trade_gives_the_bits_from_before(btc: Market) -> None:
    store(trade(1, NOON, "1.5"), trade(2, NOON + 1, "2.25", "3.125"))
    before = digest(btc)
    store(trade(3, NOON + 2, "9.0001", "0.00000001"))
    assert cancel(btc, moment(NOON + 2), "t3")
    assert digest(btc) == before
    assert not cancel(btc, moment(NOON + 2), "t3")


def test_a_candle_that_loses_its_last_trade_stays_as_a_tombstone_and_comes_back(btc: Market) -> None:
    store(trade(1, NOON))
    first, version = digest(btc), version_of(btc)
    assert cancel(btc, moment(NOON), "t1")
    assert [(row.trades, row.open, row.version) for row in Candle.objects.all()] == [(0, None, version + 1)] * 3
    store(trade(1, NOON))
    assert digest(btc) == first
    assert not rebuild(btc, moment(NOON), moment(NOON + DAY))


def test_a_rebuild_heals_a_candle_that_is_not_what_its_trades_make(btc: Market) -> None:
    store(trade(1, NOON), trade(2, NOON + MINUTE))
    before, version = digest(btc), version_of(btc)
    Candle.objects.filter(resolution=60, open_time=moment(NOON)).update(close=7)
    assert rebuild(btc, moment(NOON), moment(NOON + 1))
    assert digest(btc) == before
    assert version_of(btc) == version + 1


def test_records_of_an_unknown_market_are_refused_and_the_rest_is_stored(btc: Market) -> None:
    result = store(watermark(1, NOON, market="no:SUCH-ONE"), trade(1, NOON), trade(2, NOON, market="no:SUCH-ONE"))
    assert details(result) == [(0, "unknown market"), (2, "unknown market")]
    assert [change.market for change in result.changes] == [BTC]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (trade(2, NOON, "0"), "price out of range"),
        (trade(2, NOON, "-1"), "price out of range"),
        (trade(2, NOON, "Infinity"), "price out of range"),
        (trade(2, NOON, "1e999999"), "price out of range"),
        (trade(2, NOON, "NaN"), "not a number"),
        (trade(2, NOON, "1", "-1"), "amount out of range"),
        (trade(2, NOON, "1", "NaN"), "not a number"),
        (trade(2, NOON * 1000), "time out of range"),
        (trade(2, NOON, seq=2**63), "sequence number out of range"),
        (trade(2, NOON, id="a\0b"), "id with a zero byte"),
    ],
)
def test_a_trade_that_cannot_be_stored_is_refused_and_ends_the_span(bad: LiveRecord, reason: str) -> None:
    result = store(opened(1, NOON - MINUTE), bad, trade(3, NOON), watermark(4, NOON + 5), watermark(5, NOON + 9))
    assert details(result) == [(1, reason)]
    assert Tick.objects.count() == 1
    assert [(row.start, row.stop) for row in Coverage.objects.all()] == [(moment(NOON + 5), moment(NOON + 9))]
    assert FeedPosition.objects.get().reason == f"trade refused: {reason}"


def test_an_amount_of_nothing_is_a_trade(btc: Market) -> None:
    assert store(trade(1, NOON, "5", "0")).refused == []
    assert Candle.objects.get(resolution=60).volume == 0


def test_a_trade_before_the_kept_ones_is_refused_and_its_time_not_claimed(btc: Market) -> None:
    store(trade(1, NOON))
    kept = digest(btc)
    Tick.objects.all().delete()
    Market.objects.filter(pk=btc.pk).update(ticks_from=moment(NOON - NOON % DAY + DAY))
    result = store(opened(2, NOON), trade(3, NOON + 1), trade(4, NOON + DAY), watermark(5, NOON + DAY))
    assert details(result) == [(1, "older than the trades that are kept")]
    assert not Coverage.objects.filter(start__lte=moment(NOON + 1), stop__gt=moment(NOON + 1)).exists()
    assert not rebuild(btc, moment(NOON - DAY), moment(NOON + DAY))
    assert cancel(btc, moment(NOON + DAY), "t4")
    assert digest(btc) == kept


def test_trades_older_than_the_retention_are_refused_once_the_providers_time_is_known(
    provider_time: ProviderTime,
) -> None:
    assert store(trade(1, NOON - 31 * DAY)).refused == []
    provider_time.set(NOON)
    assert details(store(trade(2, NOON - 31 * DAY), trade(3, NOON - 29 * DAY))) == [
        (0, "older than the trades that are kept")
    ]


def test_the_version_rises_when_a_span_begins_or_ends_but_not_when_it_grows(btc: Market) -> None:
    versions = []
    for record in (
        opened(1, NOON),
        watermark(2, NOON + 5),
        watermark(3, NOON + 50),
        closed(4, NOON + 60),
        closed(5, None),
    ):
        store(record)
        versions.append(version_of(btc))
    assert versions == [0, 1, 1, 2, 2]
    assert [(row.reason, row.version) for row in Coverage.objects.all()] == [("socket lost", 2)]


def test_the_version_rises_when_a_span_grows_over_what_was_shown_as_a_hole(
    btc: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 10 * MINUTE)
    store(opened(1, NOON), watermark(2, NOON + MINUTE))
    # The feed is stale: readers see a gap from here to 90 s ago, until its records do arrive.
    store(watermark(3, NOON + 3 * MINUTE))
    assert version_of(btc) == 2
    # Another feed covers the same time: what grows beneath it changes nothing that is shown.
    store(opened(1, NOON, feed="other/one"), watermark(2, NOON + 9 * MINUTE, feed="other/one"))
    store(watermark(4, NOON + 4 * MINUTE))
    assert version_of(btc) == 3


def test_the_watermark_is_the_newest_proven_time_or_now_less_the_wait_and_never_goes_back(
    btc: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON)
    start = NOON - 60 * SECOND
    store(opened(1, start), watermark(2, NOON - 5 * SECOND, start))
    assert Market.objects.get(pk=btc.pk).watermark == moment(NOON - 5 * SECOND)
    provider_time.set(NOON + 10 * MINUTE)
    store(trade(3, NOON))
    waited = Market.objects.get(pk=btc.pk).watermark
    assert waited is not None
    assert timedelta(0) <= waited - moment(NOON + 10 * MINUTE - 90 * SECOND) < timedelta(seconds=30)
    provider_time.set(NOON)
    store(watermark(4, NOON + 5 * MINUTE, start))
    assert Market.objects.get(pk=btc.pk).watermark == waited
    assert Market.objects.get(pk=btc.pk).live_stop == moment(NOON + 5 * MINUTE)


def test_one_batch_stores_several_markets_and_feeds() -> None:
    result = store(
        opened(1, NOON),
        opened(1, NOON, market=ETH),
        trade(1, NOON, feed="tick-data/two", id="x"),
        trade(2, NOON, market=ETH),
        watermark(2, NOON + 5),
    )
    assert [(one.market, one.version, one.trades_added) for one in result.changes] == [(BTC, 1, 1), (ETH, 1, 1)]
    positions = FeedPosition.objects.order_by("market_id", "feed").values_list("feed", "topic", "last_n")
    assert list(positions) == [
        ("tick-data/one", "tick-data", 2),
        ("tick-data/two", "tick-data", 1),
        ("tick-data/one", "tick-data", 2),
    ]


def test_times_are_kept_to_the_microsecond() -> None:
    times = [NOON + 123_457, 1, 4_102_444_799_999_999]
    store(*(trade(n, ts, received_at=ts) for n, ts in enumerate(times, 1)))
    assert set(Tick.objects.values_list("ts", flat=True)) == {moment(ts) for ts in times}
