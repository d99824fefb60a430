"""What is proven where a venue counts its trades: by the stored ids, and by nothing else."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from msgspec import structs

from datastore.db.queries import fetch_value
from datastore.engines.retention import delete_old_trades
from datastore.ingest.live_write import cancel
from datastore.ingest.stored_ids import ID_SLACK_US
from datastore.models import Candle, Coverage, CoverageChange, IdRange, LastTradeStatement, Market, Tick
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from tests.support.datastore.counted import SLACK, counting, dealt, proven_by_ids, said, stored_ranges
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import (
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

__all__ = ["counting"]
pytestmark = pytest.mark.django_db
HOUR = 60 * MINUTE


def seconds(*spans: tuple[float, float]) -> list[tuple[int, int]]:
    """Return spans as they are proven, which stay away from the trades at their ends."""
    return [(int(low * SECOND) + SLACK, int(high * SECOND) - SLACK) for low, high in spans]


def test_the_slack_is_the_same_on_both_sides() -> None:
    assert fetch_value("select extract(epoch from id_slack()) * 1000000") == ID_SLACK_US == SLACK


def test_consecutive_ids_prove_the_time_between_their_trades(counting: Market) -> None:
    store(dealt(1), dealt(2), dealt(3))
    assert stored_ranges(counting) == [(1, 3)]
    assert proven_by_ids(counting) == seconds((1, 3))
    assert Market.objects.get().live_stop == moment(NOON + 3 * SECOND - SLACK)


def test_a_missing_id_is_a_gap_until_it_comes_whatever_the_connection_claims(counting: Market) -> None:
    store(
        opened(1, NOON),
        dealt(1, n=2),
        dealt(2, n=3),
        dealt(4, n=4),
        dealt(5, n=5),
        watermark(6, NOON + 9 * SECOND),
        closed(7, NOON + 10 * SECOND),
    )
    assert proven_by_ids(counting) == seconds((1, 2), (4, 5))
    assert set(Coverage.objects.values_list("proof", flat=True)) == {"ids"}
    version = Market.objects.get().version
    store(dealt(3, feed="tick-data/two", n=1))
    assert stored_ranges(counting) == [(1, 5)]
    assert proven_by_ids(counting) == seconds((1, 5))
    assert Market.objects.get().version == version + 1
    noted = CoverageChange.objects.filter(version=version + 1, what="live").values_list("start", "stop")
    assert list(noted) == [(moment(NOON + 2 * SECOND - SLACK), moment(NOON + 4 * SECOND + SLACK))]


def test_a_venue_that_says_which_trade_is_its_newest_proves_the_time_until_then(counting: Market) -> None:
    store(dealt(1), dealt(2, n=2), said(2, NOON + 9 * SECOND, 3))
    assert proven_by_ids(counting) == [(SECOND + SLACK, 9 * SECOND - 2 * SLACK)]
    store(said(2, NOON + 5 * SECOND, 4))  # late
    assert proven_by_ids(counting) == [(SECOND + SLACK, 9 * SECOND - 2 * SLACK)]
    store(dealt(3, NOON + 20 * SECOND, n=5))
    assert proven_by_ids(counting) == seconds((1, 20))
    assert not LastTradeStatement.objects.exists()


@pytest.mark.parametrize("last_id", [0, 1, 5])
def test_a_statement_of_nothing_of_what_is_old_or_of_what_has_not_come_says_nothing(
    counting: Market, last_id: int
) -> None:
    store(dealt(1), dealt(2, n=2), said(last_id, NOON + 9 * SECOND, 3))
    assert proven_by_ids(counting) == seconds((1, 2))


def test_a_statement_that_is_ahead_is_met_when_its_trade_arrives(counting: Market) -> None:
    store(dealt(1), said(3, NOON + 9 * SECOND, 2), said(4, NOON + 11 * SECOND, 3))
    assert proven_by_ids(counting) == []
    store(dealt(2, n=4), dealt(3, n=5))
    assert proven_by_ids(counting) == [(SECOND + SLACK, 9 * SECOND - 2 * SLACK)]
    store(dealt(4, n=6))
    assert proven_by_ids(counting) == [(SECOND + SLACK, 11 * SECOND - 2 * SLACK)]


def test_a_statement_that_a_later_trade_contradicts_is_taken_back_with_the_watermark(
    counting: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 20 * SECOND)
    store(dealt(1), said(1, NOON + 19 * SECOND, 2))
    before = Market.objects.get()
    assert before.watermark == before.live_stop == moment(NOON + 19 * SECOND - 2 * SLACK)
    (change,) = store(dealt(3, NOON + 9 * SECOND, n=3)).changes
    after = Market.objects.get()
    assert proven_by_ids(counting) == []
    assert (after.version, change.changed, after.live_stop) == (before.version + 1, True, None)
    assert after.watermark is not None and after.watermark < moment(NOON)
    assert change.taken_back_s == pytest.approx(17.7)


def test_a_statement_of_the_future_proves_no_more_than_what_has_been(
    counting: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 20 * SECOND)
    store(dealt(1), said(1, NOON + HOUR, 2))
    ((_, stop),) = proven_by_ids(counting)
    assert stop < 80 * SECOND


def test_a_span_that_merely_grows_raises_no_version(counting: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 10 * SECOND)
    store(dealt(1), dealt(2, n=2))
    version = Market.objects.get().version
    (change,) = store(said(2, NOON + 9 * SECOND, 3)).changes
    assert (change.changed, Market.objects.get().version) == (False, version)
    assert proven_by_ids(counting) == [(SECOND + SLACK, 9 * SECOND - 2 * SLACK)]


def test_two_producers_and_a_replayed_batch_change_nothing(counting: Market) -> None:
    batch = [dealt(each, n=each) for each in range(1, 6)]
    store(*batch)
    before = Market.objects.get(), list(Candle.objects.order_by("pk").values()), proven_by_ids(counting)
    again = store(*batch, *[structs.replace(one, feed="tick-data/two", ts=one.ts + 1) for one in batch])
    assert (again.refused, again.changes[0].changed, again.changes[0].trades_added) == ([], False, 0)
    assert (Market.objects.get(), list(Candle.objects.order_by("pk").values()), proven_by_ids(counting)) == before
    assert Tick.objects.count() == 5


def test_the_same_trade_twice_in_a_batch_is_one(counting: Market) -> None:
    result = store(dealt(1), dealt(1, NOON + SECOND + 1, feed="tick-data/two"), dealt(2, n=2))
    assert (result.refused, Tick.objects.count(), result.changes[0].trades_added) == ([], 2, 2)


def test_an_aggregate_covers_its_ids(counting: Market) -> None:
    store(dealt(1, last=4), dealt(5, last=9, n=2))
    assert stored_ranges(counting) == [(1, 9)]
    tick = Tick.objects.order_by("-ts")[0]
    assert (tick.first_id, tick.last_id) == (5, 9)


@pytest.mark.parametrize("together", [False, True])
def test_another_trade_under_an_id_breaks_the_proof_there_for_good(counting: Market, together: bool) -> None:
    first, other = [dealt(each) for each in range(1, 6)], dealt(3, price="7", feed="tick-data/two", n=1)
    results = [store(*first, other)] if together else [store(*first), store(other)]
    why = f"the id 3 is stored with another trade; came 7 x 1 at {other.ts}"
    assert details(results[-1]) == [(5 if together else 0, why)]
    assert stored_ranges(counting) == [(1, 2), (4, 5)]
    assert proven_by_ids(counting) == seconds((1, 3), (3, 5))
    assert Candle.objects.get(resolution=60).low == 100
    store(*[structs.replace(one, feed="tick-data/three") for one in first])  # another Producer brings them again
    assert stored_ranges(counting) == [(1, 2), (4, 5)]
    assert details(store(structs.replace(other, feed="tick-data/four")))
    assert Tick.objects.count() == 5


def test_another_time_under_an_id_leaves_all_between_both_unproven(counting: Market) -> None:
    store(*[dealt(each) for each in range(1, 10)])
    store(dealt(5, NOON + 7 * SECOND, feed="tick-data/two", n=1))
    assert proven_by_ids(counting) == seconds((1, 5), (7, 9))


def test_an_aggregate_that_overlaps_stored_trades_is_a_conflict(counting: Market) -> None:
    store(dealt(1), dealt(2), dealt(3))
    result = store(dealt(3, last=4, n=4))
    assert [index for index, _ in result.refused] == [0]
    assert stored_ranges(counting) == [(1, 2)]
    assert proven_by_ids(counting) == seconds((1, 3))


def test_a_cancelled_trade_s_id_is_missing_until_it_is_stored_again(counting: Market) -> None:
    store(*[dealt(each) for each in range(1, 6)])
    version = Market.objects.get().version
    assert cancel(counting, moment(NOON + 3 * SECOND), "3")
    assert stored_ranges(counting) == [(1, 2), (4, 5)]
    assert proven_by_ids(counting) == seconds((1, 3), (3, 5))  # when it was traded is known
    assert Market.objects.get().version == version + 1
    store(dealt(3, feed="tick-data/two", n=1))
    assert proven_by_ids(counting) == seconds((1, 5))


def test_what_retention_deleted_stays_proven_as_its_candles_stand(
    counting: Market, provider_time: ProviderTime
) -> None:
    store(*[dealt(each) for each in range(1, 200)])
    before = proven_by_ids(counting), stored_ranges(counting), list(Candle.objects.order_by("pk").values())
    delete_old_trades(counting, moment(NOON + 48 * HOUR), 1)
    assert not Tick.objects.exists()
    result = store(dealt(3, price="7", feed="tick-data/two", n=1), dealt(3, feed="tick-data/two", n=2))
    assert [refusal.code for _, refusal in result.refused] == ["too_old", "too_old"]
    assert (proven_by_ids(counting), stored_ranges(counting), list(Candle.objects.order_by("pk").values())) == before


def test_trades_without_ids_are_stored_and_prove_nothing(counting: Market) -> None:
    store(opened(1, NOON), trade(2, NOON + SECOND), watermark(3, NOON + 9 * SECOND))
    assert (Tick.objects.count(), Coverage.objects.count()) == (1, 0)


def test_elsewhere_ids_prove_nothing_and_the_connection_does(counting: Market) -> None:
    Market.objects.update(provider="cryptocompare")
    store(opened(1, NOON), dealt(1, n=2), dealt(3, n=3), said(3, NOON + 5 * SECOND, 4), watermark(5, NOON + 9 * SECOND))
    ((proof, stop),) = Coverage.objects.values_list("proof", "stop")
    assert (proof, stop) == ("connection", moment(NOON + 9 * SECOND))
    assert not IdRange.objects.exists()


def test_a_minute_closes_on_evidence_from_after_it(counting: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 2 * MINUTE + 10 * SECOND)
    store(dealt(1, NOON - SECOND), dealt(2, NOON + 30 * SECOND, n=2), dealt(3, NOON + 59 * SECOND, n=3))
    shown = read_series(counting, "1m", moment(NOON), moment(NOON + MINUTE))
    assert [part.state for part in shown.segments] == ["pending"]
    store(said(3, NOON + 61 * SECOND, 4))
    shown = read_series(counting, "1m", moment(NOON), moment(NOON + MINUTE))
    assert [part.state for part in shown.segments] == ["live"]


def test_a_batch_of_many_markets_takes_as_many_statements_as_one_of_one(counting: Market) -> None:
    symbols = [f"coinbase:C{each}-USD" for each in range(12)]
    ensure_markets(symbols)
    counts = []
    for some in (symbols[:1], symbols[1:]):
        batch = [
            one
            for symbol in some
            for one in (dealt(1, market=symbol), dealt(2, n=2, market=symbol), dealt(2, n=3, market=symbol))
        ]
        store(*batch)
        with CaptureQueriesContext(connection) as captured:
            store(*batch, *[said(2, NOON + 5 * SECOND, 4, market=symbol) for symbol in some])
        counts.append(len(captured))
    assert counts[0] == counts[1]
