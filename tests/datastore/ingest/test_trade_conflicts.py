"""Trades under an id that is another trade's: kept apart by their numbers, or refused and nothing claimed."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from datastore.db.queries import fetch_all
from datastore.ingest.live_write import StoreResult
from datastore.models import Candle, Coverage, Market, Tick
from streaming.records import LiveRecord, Trade
from streaming.refusals import RefusalCode
from tests.support.datastore.records import (
    BTC,
    FEED,
    NOON,
    SECOND,
    closed,
    micros,
    opened,
    store,
    trade,
    watermark,
)

pytestmark = pytest.mark.django_db
AT = NOON + 20 * SECOND
OTHER = "tick-data/two"


@pytest.fixture(autouse=True)
def market(db: None) -> Market:
    return Market.objects.create(exchange="coinbase", base="BTC", quote="USD", symbol=BTC)


def shared(n: int, price: str, amount: str, seq: int | None, feed: str = FEED, side: int = 1) -> Trade:
    return trade(n, AT, price, amount, id="0", seq=seq, feed=feed, side=side)


def three(feed: str = FEED, first: int = 2) -> list[LiveRecord]:
    content = [("10", "1", 7), ("12", "2", 8), ("11", "3", 9)]
    return [shared(first + place, *each, feed=feed) for place, each in enumerate(content)]


def candle() -> tuple[Decimal | int | None, ...]:
    row = Candle.objects.get(resolution=60)
    return row.open, row.high, row.low, row.close, row.volume, row.quote_volume, row.trades


WHOLE = tuple(map(Decimal, (10, 12, 10, 11, 6, 67, 3)))


def live() -> list[tuple[int, int]]:
    spans = Coverage.objects.filter(source="live").order_by("start").values_list("start", "stop")
    return [((micros(start) - NOON) // SECOND, (micros(stop) - NOON) // SECOND) for start, stop in spans]


def codes(result: StoreResult) -> list[tuple[int, RefusalCode]]:
    return [(index, refusal.code) for index, refusal in result.refused]


@pytest.mark.parametrize("batches", [1, 3])
def test_trades_of_one_id_are_kept_apart_by_their_numbers(batches: int) -> None:
    records = [opened(1, NOON), *three(), watermark(5, NOON + 60 * SECOND)]
    results = [store(*records)] if batches == 1 else [store(*records[:2]), store(records[2]), store(*records[3:])]
    assert candle() == WHOLE
    assert [result.refused for result in results] == [[]] * batches
    assert sum(change.trades_added for result in results for change in result.changes) == 3
    assert sum(change.ids_shared for result in results for change in result.changes) == 2
    assert live() == [(0, 60)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_replay_that_begins_anywhere_adds_nothing(order: tuple[int, ...]) -> None:
    store(opened(1, NOON), *three())
    again = three(feed=OTHER, first=1)
    for n, place in enumerate(order, start=1):
        result = store(shared(n, str(again[place].price), str(again[place].amount), again[place].seq, feed=OTHER))  # type: ignore[union-attr]
        assert (result.refused, result.changes[0].changed) == ([], False)
    assert candle() == WHOLE
    assert sorted(Tick.objects.values_list("trade_id", flat=True)) == ["0", "0#ccseq:8", "0#ccseq:9"]


def test_without_numbers_the_second_is_refused_with_both_contents_and_the_span_ends_before_it() -> None:
    result = store(
        opened(1, NOON),
        watermark(2, NOON + 10 * SECOND),
        shared(3, "10", "1", None),
        shared(4, "12", "2", None),
        shared(5, "10", "1", None),  # a repeat of the first
        watermark(6, NOON + 60 * SECOND, seen=NOON + 65 * SECOND),
    )
    assert codes(result) == [(3, RefusalCode.CONFLICT)]
    assert all(part in result.refused[0][1].detail for part in ("10 x 1", "12 x 2"))
    assert live() == [(0, 10)]
    assert Tick.objects.count() == 1


def test_a_refusal_in_a_later_batch_takes_back_what_was_claimed_of_that_time() -> None:
    store(opened(1, NOON), shared(2, "10", "1", None), watermark(3, NOON + 60 * SECOND))
    store(closed(4, None), feed_opening := opened(1, NOON + 70 * SECOND, feed=OTHER))
    assert live() == [(0, 60)] and feed_opening.n == 1
    result = store(shared(2, "10", "1", None, feed=OTHER, side=-1), watermark(3, NOON + 90 * SECOND, feed=OTHER))
    assert codes(result) == [(0, RefusalCode.CONFLICT)]
    assert live() == [(0, 20)]
    assert Market.objects.get().live_stop == Coverage.objects.get(source="live").stop


def test_a_refused_replay_proves_no_bridge() -> None:
    store(opened(1, NOON), shared(2, "10", "1", None), watermark(3, NOON + 15 * SECOND))
    again = shared(1, "12", "1", None, feed=OTHER)
    opening = opened(2, NOON + 40 * SECOND, connected=NOON + 39 * SECOND, replayed=[again], feed=OTHER)
    store(again, opening, watermark(3, NOON + 60 * SECOND, NOON + 40 * SECOND, feed=OTHER))
    assert live() == [(0, 15), (40, 60)]


def test_a_replay_of_another_trade_of_the_same_id_proves_no_bridge() -> None:
    store(opened(1, NOON), shared(2, "10", "1", 7), watermark(3, NOON + 15 * SECOND))
    again = [shared(1, "10", "1", 8, feed=OTHER), shared(2, "10", "1", 9, feed=OTHER)]
    opening = opened(3, NOON + 40 * SECOND, connected=NOON + 39 * SECOND, replayed=again, feed=OTHER)
    store(*again, opening, watermark(4, NOON + 60 * SECOND, NOON + 40 * SECOND, feed=OTHER))
    assert live() == [(0, 15), (40, 60)], "the equal trades may be others"


def test_a_replay_of_trades_kept_under_their_numbers_proves_the_bridge() -> None:
    store(opened(1, NOON), *three(), watermark(5, NOON + 21 * SECOND))
    again = [one for one in three(feed=OTHER, first=1) if isinstance(one, Trade)][1:]
    opening = opened(4, NOON + 40 * SECOND, connected=NOON + 39 * SECOND, replayed=again, feed=OTHER)
    store(*three(feed=OTHER, first=1), opening, watermark(5, NOON + 60 * SECOND, NOON + 40 * SECOND, feed=OTHER))
    assert live()[0][0] == 0 and max(stop for _, stop in live()) == 60
    assert candle() == WHOLE
    assert fetch_all("select count(*) from coverage where source = 'live' and reason is null and feed = %s", [OTHER])


def test_a_side_that_is_not_known_contradicts_nothing() -> None:
    result = store(opened(1, NOON), shared(2, "10", "1", None), shared(3, "10", "1", None, side=0))
    assert result.refused == []


def test_the_same_id_at_another_time_is_another_trade() -> None:
    later = trade(3, AT + SECOND, "12", "2", id="0")
    assert store(opened(1, NOON), shared(2, "10", "1", None), later).refused == []
    assert Tick.objects.count() == 2


def test_every_topic_that_carries_a_contradiction_claims_nothing_there() -> None:
    def carried(feed: str) -> list[LiveRecord]:
        return [
            opened(1, NOON, feed=feed),
            shared(2, "10", "1", None, feed=feed),
            shared(3, "12", "2", None, feed=feed),
            watermark(4, NOON + 60 * SECOND, seen=NOON + 65 * SECOND, feed=feed),
        ]

    assert codes(store(*carried(FEED))) == [(2, RefusalCode.CONFLICT)]
    assert codes(store(*carried("dyn-1/one"))) == [(2, RefusalCode.CONFLICT)]
    assert live() == []
