from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import transaction
from django.db.models.functions import Now

from datastore.backfill import fetch_queue
from datastore.backfill.completion import MAX_SHORT_ANSWERS
from datastore.backfill.fetch_queue import Purpose, State, enqueue, not_yet_requested
from datastore.backfill.history_write import settle_published
from datastore.coverage.gaps import missing
from datastore.ingest.live_write import StoreResult, store_live
from datastore.models import Coverage, FetchRequest, GapRepair, Market, ProviderCandle
from datastore.reference.markets import ensure_markets
from datastore.reference.provider_clock import steady_now
from datastore.series.reader import read_series
from datastore.sse.delta import Delta
from datastore.sse.delta_reader import read_delta, read_position
from datastore.timeframes.timeframe import TIMEFRAMES
from streaming.history_records import HistoryRecord
from streaming.records import LiveRecord
from tests.support.datastore.answers import answered, candle, done, failed, minutes, store
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
    BTC,
    ETH,
    MINUTE,
    NOON,
    SECOND,
    closed,
    details,
    micros,
    moment,
    opened,
    trade,
    watermark,
)

pytestmark = pytest.mark.django_db

HOUR = 60 * MINUTE


@pytest.fixture(autouse=True)
def btc(provider_time: ProviderTime) -> Market:
    provider_time.set(NOON + 3 * HOUR)
    return ensure_markets([BTC, ETH])[0]


def version_of(market: Market) -> int:
    return Market.objects.get(pk=market.pk).version


def spans(resolution: int = 60) -> list[tuple[int, int]]:
    """Return what the provider answered for, in minutes from noon."""
    rows = Coverage.objects.filter(source="provider", resolution=resolution).order_by("start")
    return [((micros(row.start) - NOON) // MINUTE, (micros(row.stop) - NOON) // MINUTE) for row in rows]


def shown(market: Market, start: int, stop: int, timeframe: str = "1m") -> list[tuple[str, int, int, int]]:
    series = read_series(market, timeframe, moment(start), moment(stop))
    return [
        (one.state, (micros(one.start) - NOON) // MINUTE, (micros(one.stop) - NOON) // MINUTE, one.quiet)
        for one in series.segments
    ]


def asked(market: Market, low: int, high: int) -> FetchRequest:
    """Return a request for minutes from noon whose answer is in the topic."""
    (request,) = enqueue(market, 60, moment(NOON + low * MINUTE), moment(NOON + high * MINUTE), Purpose.READER)
    fetch_queue.start(request.pk, "job")
    fetch_queue.mark_published(request.pk, "job")
    return request


def again(request: FetchRequest) -> FetchRequest:
    return FetchRequest.objects.get(pk=request.pk)


def test_a_page_becomes_candles_and_quiet_minutes(btc: Market) -> None:
    result = store(*minutes(0, 2, start=NOON), answered(NOON, NOON + 5 * MINUTE, zeros=(NOON + 3 * MINUTE,), candles=2))
    assert [(change.market, change.version, change.changed) for change in result.changes] == [(BTC, 1, True)]
    assert result.refused == []
    assert shown(btc, NOON, NOON + 5 * MINUTE) == [("provider", 0, 5, 3)]
    rows = ProviderCandle.objects.order_by("open_time").values_list("close", "volume", "version", "revision")
    assert list(rows) == [(Decimal(1), Decimal(2), 1, 0), (Decimal(3), Decimal(2), 1, 0)]


def test_the_same_page_again_changes_nothing_not_even_a_version(btc: Market) -> None:
    page: list[HistoryRecord] = [*minutes(0, 2, start=NOON), answered(NOON, NOON + 5 * MINUTE, candles=2)]
    store(*page)
    before = version_of(btc), list(ProviderCandle.objects.values()), list(Coverage.objects.values())
    assert not store(*page).changes[0].changed
    assert (version_of(btc), list(ProviderCandle.objects.values()), list(Coverage.objects.values())) == before


def test_a_corrected_candle_raises_its_revision_and_the_version(btc: Market) -> None:
    store(*minutes(0, 1, start=NOON), answered(NOON, NOON + 5 * MINUTE))
    store(candle(NOON, "1.00"), candle(NOON + MINUTE, "7"), candle(NOON + MINUTE, "8"))
    rows = ProviderCandle.objects.order_by("open_time").values_list("close", "version", "revision")
    assert list(rows) == [(Decimal(1), 1, 0), (Decimal(8), 2, 1)]
    assert version_of(btc) == 2


def test_pages_that_touch_become_one_row_and_others_stay_apart() -> None:
    for low, high in ((20, 30), (10, 20), (40, 50), (0, 5)):
        store(answered(NOON + low * MINUTE, NOON + high * MINUTE))
    assert spans() == [(0, 5), (10, 30), (40, 50)]
    store(answered(NOON + 4 * MINUTE, NOON + 45 * MINUTE))
    assert spans() == [(0, 50)]
    store(answered(NOON, NOON + HOUR, resolution=3600))
    assert (spans(), spans(3600)) == ([(0, 50)], [(0, 60)])


@pytest.mark.parametrize("whose", ["the provider's", "ours"])
def test_zeros_instead_of_a_known_candle_are_refused_and_prove_nothing(btc: Market, whose: str) -> None:
    if whose == "ours":
        with transaction.atomic():
            store_live([trade(1, NOON + 2 * MINUTE)])
    else:
        store(candle(NOON + 2 * MINUTE))
    zeros = tuple(NOON + place * MINUTE for place in range(1, 4))
    result = store(candle(NOON), answered(NOON, NOON + 5 * MINUTE, zeros=zeros, candles=1))
    assert details(result) == [(1, "zeros instead of 1 known candle")]
    assert spans() == [(0, 2), (3, 5)]
    assert [row[0] for row in shown(btc, NOON, NOON + 5 * MINUTE)] == [
        "provider",
        "partial" if whose == "ours" else "gap",
        "provider",
    ]


def test_zeros_do_not_take_back_what_is_proven(btc: Market) -> None:
    store(*minutes(0, 1, 2, start=NOON), answered(NOON, NOON + 3 * MINUTE))
    store(answered(NOON, NOON + 3 * MINUTE, zeros=(NOON, NOON + MINUTE)))
    assert spans() == [(0, 3)]
    assert shown(btc, NOON, NOON + 3 * MINUTE) == [("provider", 0, 3, 0)]


def hit(*records: LiveRecord) -> StoreResult:
    with transaction.atomic():
        return store_live(records)


def test_a_row_that_calls_a_minute_of_known_trades_quiet_is_not_believed(btc: Market) -> None:
    hit(
        opened(1, NOON - 30 * SECOND),
        trade(2, NOON + SECOND, "81", "3"),
        trade(3, NOON + 2 * SECOND, "79"),
        watermark(4, NOON + 10 * SECOND, NOON - 30 * SECOND),
        closed(5, None),
    )
    request = asked(btc, 0, 3)
    result = store(answered(NOON, NOON + 3 * MINUTE, candles=0), done(request.pk))
    assert details(result) == [(0, "zeros instead of 1 known candle")]
    assert shown(btc, NOON, NOON + 3 * MINUTE) == [("partial", 0, 1, 0), ("provider", 1, 3, 2)]
    (row,) = read_series(btc, "1m", moment(NOON), moment(NOON + 3 * MINUTE)).rows
    assert row[1:9] == ("81", "81", "79", "79", "4", "322", 2, "partial")
    assert (again(request).state, again(request).error) == (State.QUEUED, "the answer left out 1 bucket")
    assert missing(btc, 60, moment(NOON), moment(NOON + 3 * MINUTE)) == [(NOON, NOON + MINUTE)]


def test_a_trade_that_comes_after_its_minute_was_called_quiet_takes_that_back(btc: Market) -> None:
    store(answered(NOON, NOON + 5 * MINUTE))
    store(answered(NOON, NOON + 2 * HOUR, resolution=3600))
    shown_before, _ = read_position(btc)
    late = [trade(1, NOON + 61 * SECOND, "81"), trade(2, NOON + 3 * MINUTE, "79")]
    (change,) = hit(*late).changes
    assert (change.taken_back_s, change.changed) == (2 * 60 + 3600, True)
    assert (spans(), spans(3600)) == ([(0, 1), (2, 3), (4, 5)], [(60, 120)])
    assert [(state, low) for state, low, *_ in shown(btc, NOON, NOON + 5 * MINUTE)] == [
        ("provider", 0), ("partial", 1), ("provider", 2), ("partial", 3), ("provider", 4),
    ]  # fmt: skip
    delta = read_delta(btc, TIMEFRAMES["1m"], shown_before)
    assert isinstance(delta, Delta)
    assert {gap.start * 1000 for gap in delta.gaps} >= {NOON + MINUTE, NOON + 3 * MINUTE}
    assert hit(*late).changes[0].taken_back_s == 0


def test_a_trade_within_a_candle_of_the_providers_takes_nothing_back(btc: Market) -> None:
    store(*minutes(0, 1, start=NOON), answered(NOON, NOON + 2 * MINUTE, candles=2))
    hit(trade(1, NOON + SECOND, "81"))
    assert spans() == [(0, 2)]
    assert shown(btc, NOON, NOON + 2 * MINUTE) == [("provider", 0, 2, 0)]


def test_a_minute_with_a_candle_contradicts_a_quiet_hour_around_it(btc: Market) -> None:
    hour = answered(NOON, NOON + 2 * HOUR, resolution=3600)
    assert details(store(candle(NOON + MINUTE), hour)) == [(1, "zeros instead of 1 known candle")]
    assert spans(3600) == [(60, 120)]
    (change,) = store(candle(NOON + 61 * MINUTE)).changes
    assert (spans(3600), change.taken_back_s) == ([], 3600)


def test_a_row_without_volume_whose_price_moved_is_a_candle(btc: Market) -> None:
    moved = bad(
        candle(NOON + MINUTE), open=Decimal(200), high=Decimal(205), low=Decimal(199), close=Decimal(204),
        volume=Decimal(0), quote_volume=Decimal("37.5"),
    )  # fmt: skip
    store(candle(NOON, "201"), moved, answered(NOON, NOON + 5 * MINUTE, candles=2))
    rows = read_series(btc, "1m", moment(NOON), moment(NOON + 5 * MINUTE)).rows
    assert rows[1][1:7] == ("200", "205", "199", "204", "0", "37.5")
    (five,) = read_series(btc, "5m", moment(NOON), moment(NOON + 5 * MINUTE)).rows
    assert five[1:7] == ("201", "205", "199", "204", "2", "439.5")
    flat = read_series(btc, "1m", moment(NOON), moment(NOON + 3 * MINUTE), fill="flat").rows
    assert [row[4] for row in flat] == ["201", "204", "204"]


def test_a_page_that_lost_candles_on_its_way_proves_nothing(btc: Market) -> None:
    result = store(candle(NOON), answered(NOON, NOON + 5 * MINUTE, candles=3))
    assert details(result) == [(1, "stream lost 2 of 3 candles")]
    assert spans() == []


def bad(record: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(record, **changes)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (candle(NOON, market="kraken:BTC-EUR"), "unknown market"),
        (bad(candle(NOON), close=Decimal("NaN")), "not a possible number"),
        (bad(candle(NOON), open=Decimal(0)), "not a possible number"),
        (bad(candle(NOON), volume=Decimal(-1)), "not a possible number"),
        (bad(candle(NOON), high=Decimal("1e999999")), "not a possible number"),
        (bad(candle(NOON), quote_volume=Decimal(-1)), "not a possible number"),
        (candle(NOON + 1), "not whole buckets of a resolution"),
        (bad(candle(NOON), resolution=120), "not whole buckets of a resolution"),
        (answered(NOON, NOON), "not whole buckets of a resolution"),
        (answered(NOON, NOON + SECOND), "not whole buckets of a resolution"),
        (answered(NOON, NOON + 4 * HOUR), "not over yet"),
        (candle(NOON + 3 * HOUR), "not over yet"),
    ],
)
def test_what_cannot_be_true_is_refused_and_leaves_no_trace(btc: Market, record: Any, reason: str) -> None:
    result = store(record, candle(NOON + MINUTE))
    assert details(result) == [(0, reason)]
    assert ProviderCandle.objects.count() == 1
    assert spans() == []


def test_before_the_first_stamp_the_providers_own_answers_are_believed(provider_time: ProviderTime) -> None:
    provider_time.forget()
    years = 5 * 8766 * HOUR
    assert store(answered(NOON, NOON + years)).refused == []


def test_a_request_whose_span_is_stored_is_done(btc: Market) -> None:
    request = asked(btc, 0, 30)
    store(candle(NOON), answered(NOON + 10 * MINUTE, NOON + 30 * MINUTE))
    store(answered(NOON, NOON + 10 * MINUTE), done(request.pk))
    found = again(request)
    assert (found.state, found.error) == (State.DONE, None)
    assert found.finished_at is not None
    assert [one.pk for one in fetch_queue.finished_since(found.finished_at)] == [request.pk]


def test_live_minutes_and_final_refusals_end_a_request_too(btc: Market) -> None:
    request = asked(btc, 0, 30)
    with transaction.atomic():
        store_live([opened(1, NOON + 20 * MINUTE), watermark(2, NOON + 40 * MINUTE)])
    store(failed(99, NOON, NOON + 10 * MINUTE), answered(NOON + 10 * MINUTE, NOON + 20 * MINUTE), done(request.pk))
    assert again(request).state == State.DONE


def test_an_answer_that_falls_short_is_asked_for_again_where_it_did(btc: Market) -> None:
    request = asked(btc, 0, 30)
    store(
        answered(NOON, NOON + 5 * MINUTE),
        answered(NOON + 10 * MINUTE, NOON + 12 * MINUTE),
        answered(NOON + 15 * MINUTE, NOON + 30 * MINUTE),
        done(request.pk),
    )
    found = again(request)
    assert (found.state, found.error, found.fell_short) == (State.QUEUED, "the answer left out 8 buckets", 1)
    assert [found.start, found.reached, found.stop] == [moment(NOON + at * MINUTE) for at in (5, 15, 30)]
    assert found.next_try is not None and fetch_queue.due(1) == []


def test_an_answer_that_always_falls_short_fails_in_the_end(btc: Market) -> None:
    request = asked(btc, 0, 30)
    for _ in range(MAX_SHORT_ANSWERS):
        assert again(request).state != State.FAILED
        store(done(request.pk))
    found = again(request)
    assert (found.state, found.error) == (State.FAILED, "the answer left out 30 buckets")
    assert not_yet_requested(btc, 60, found.start, found.stop) != []


def test_a_refusal_for_good_fails_the_request_and_is_remembered(btc: Market) -> None:
    request = asked(btc, 0, 30)
    result = store(
        answered(NOON + 20 * MINUTE, NOON + 30 * MINUTE), failed(request.pk, NOON, NOON + 20 * MINUTE), done(request.pk)
    )
    assert (again(request).state, again(request).error) == (State.FAILED, "older than kept")
    assert result.changes[0].version == 1
    hole = GapRepair.objects.get()
    assert (hole.final, hole.reason, hole.version) == (True, "older than kept", 1)
    assert enqueue(btc, 60, moment(NOON), moment(NOON + 30 * MINUTE), Purpose.READER) == []
    (gap, _) = read_series(btc, "1m", moment(NOON), moment(NOON + 30 * MINUTE)).segments
    assert gap.repair is not None and gap.repair["final"]


def test_refusals_with_one_reason_that_touch_become_one(btc: Market) -> None:
    store(failed(1, NOON, NOON + 10 * MINUTE), failed(2, NOON + 10 * MINUTE, NOON + 20 * MINUTE))
    version = version_of(btc)
    store(failed(3, NOON, NOON + 20 * MINUTE), failed(4, NOON, NOON + 5 * MINUTE, "delisted"))
    (hole,) = GapRepair.objects.all()
    assert (hole.start, hole.stop) == (moment(NOON), moment(NOON + 20 * MINUTE))
    assert version_of(btc) == version == 1


def test_a_failure_that_may_pass_leaves_no_final_hole(btc: Market) -> None:
    request = asked(btc, 0, 30)
    store(failed(request.pk, NOON, NOON + 30 * MINUTE, "bad span", final=False))
    assert again(request).state == State.FAILED
    assert not GapRepair.objects.exists()
    assert version_of(btc) == 0


def test_a_request_that_ended_is_not_opened_again(btc: Market) -> None:
    request = asked(btc, 0, 5)
    store(answered(NOON, NOON + 5 * MINUTE), done(request.pk))
    before = FetchRequest.objects.values().get()
    store(done(request.pk), failed(request.pk, NOON, NOON + 5 * MINUTE, final=False), done(request.pk, ETH))
    assert FetchRequest.objects.values().get() == before


def test_a_request_whose_end_was_lost_is_noticed_when_the_topic_is_empty(btc: Market) -> None:
    stored, lost = asked(btc, 0, 5), asked(btc, 10, 15)
    store(answered(NOON, NOON + 5 * MINUTE))
    earlier = steady_now() - timedelta(minutes=1)
    assert settle_published(earlier) == 0
    FetchRequest.objects.update(published_at=Now() - timedelta(minutes=2))
    assert settle_published(earlier) == 2
    assert (again(stored).state, again(lost).state) == (State.DONE, State.QUEUED)
    assert settle_published(earlier) == 0
