"""Whether all trades of a batch are new: then they are inserted without trial, and nothing else may differ."""

from __future__ import annotations

import pytest

from datastore.db.queries import fetch_value
from datastore.ingest.live_batch import split_batch
from datastore.ingest.live_write import digest
from datastore.models import Candle, Market, Tick
from datastore.reference.markets import ensure_markets
from streaming.records import Trade
from tests.support.datastore.records import BTC, ETH, NOON, SECOND, store, trade

pytestmark = pytest.mark.django_db
LOOKED_AT = 200  # trades of a market, as the function has it


@pytest.fixture
def markets() -> list[Market]:
    return ensure_markets([BTC, ETH])


def are_all_new(*trades: Trade) -> bool:
    batch = split_batch(trades)
    ids = [Market.objects.get(symbol=symbol).pk for symbol in batch.symbols]
    found = fetch_value(
        "select all_new(%s, %s::bigint[], %s::int[], %s::bigint[], %s::text[])",
        [ids, batch.since, batch.columns[0], batch.columns[1], batch.columns[4]],
    )
    return bool(found)


def test_trades_after_or_beside_the_stored_ones_are_new(markets: list[Market]) -> None:
    store(trade(1, NOON, id="a"), trade(2, NOON + SECOND, id="b"), trade(1, NOON + 9 * SECOND, id="c", market=ETH))
    assert are_all_new(trade(3, NOON + SECOND, id="c"), trade(4, NOON + 2 * SECOND, id="b"))
    assert are_all_new(trade(3, NOON - SECOND, id="a"), trade(2, NOON, id="a", market=ETH))
    assert not are_all_new(trade(3, NOON + 2 * SECOND, id="c"), trade(4, NOON + SECOND, id="b"))
    assert not are_all_new(trade(3, NOON + 20 * SECOND, id="x"), trade(2, NOON + 9 * SECOND, id="c", market=ETH))


def test_where_much_is_stored_after_them_nobody_looks(markets: list[Market]) -> None:
    store(*(trade(n, NOON + n * SECOND, id=f"t{n}") for n in range(1, LOOKED_AT)))
    assert are_all_new(trade(LOOKED_AT, NOON, id="late"))
    store(trade(LOOKED_AT, NOON + LOOKED_AT * SECOND, id="one more"))
    assert not are_all_new(trade(LOOKED_AT + 1, NOON, id="late"))
    assert store(trade(LOOKED_AT + 1, NOON, id="late")).changes[0].trades_added == 1


def test_a_trade_that_comes_twice_in_a_batch_is_stored_once(markets: list[Market]) -> None:
    twice = [trade(n, NOON + SECOND, "10", "1", id="same") for n in (1, 2)]
    assert split_batch(twice).since is None
    (change,) = store(*twice, trade(3, NOON + 2 * SECOND, "11", "1", id="other")).changes
    assert (change.trades_added, Tick.objects.count()) == (2, 2)


def test_candles_are_the_same_however_the_trades_are_cut_into_batches(markets: list[Market]) -> None:
    btc, _ = markets
    trades = [trade(n, NOON + n * 7 * SECOND, f"{100 + n % 13}", f"0.{n}", id=f"t{n}") for n in range(1, 60)]
    store(*trades)
    whole = digest(btc)
    Tick.objects.all().delete()
    Candle.objects.all().delete()
    late = [trade(one.n + 100, one.ts, str(one.price), str(one.amount), id=one.id) for one in trades]
    for low in (40, 0, 20):  # late trades, repeats, and the hours and days that hold them
        store(*late[low : low + 25])
    assert digest(btc) == whole
