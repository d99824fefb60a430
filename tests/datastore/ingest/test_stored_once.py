"""No index forbids it, and yet each trade is stored once: beside other writers, and however often it came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from datastore.db.queries import execute, fetch_value
from datastore.engines.rollups import PlainEngine
from datastore.ingest.live_batch import split_batch
from datastore.ingest.live_write import INGEST, digest
from datastore.models import Market, Tick
from datastore.reference.markets import ensure_markets
from streaming.records import Trade
from tests.support.datastore.records import BTC, ETH, NOON, SECOND, moment, store, trade
from tests.support.polling import until

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
TWICE = "insert into tick select * from tick where trade_id = 't2'"
DAY = timedelta(days=1)


@pytest.fixture
def btc() -> Market:
    return ensure_markets([BTC, ETH])[0]


def arguments(*trades: Trade) -> list[Any]:
    """Return trades as the function's arguments, without the locks that store_live() takes first."""
    batch = split_batch(trades)
    ids = [Market.objects.get(symbol=symbol).pk for symbol in batch.symbols]
    return [ids, *batch.columns, batch.since]


def connected() -> psycopg.Connection[Any]:
    """Return a connection of its own to the test's database."""
    values = connection.get_connection_params()
    return psycopg.connect(**{name: values[name] for name in ("dbname", "user", "host", "port") if name in values})


def test_a_writer_that_took_no_lock_waits_for_another_and_sees_what_it_stored(btc: Market) -> None:
    given = arguments(trade(1, NOON, id="a"), trade(2, NOON, id="b"))
    with connected() as first, connected() as second, ThreadPoolExecutor(1) as pool:
        assert first.execute(INGEST, given).fetchall()[0][1] == 2
        waiting = pool.submit(lambda: second.execute(INGEST, given).fetchall())
        until("the second one waits", lambda: fetch_value(WAITS))
        first.commit()
        assert waiting.result() == []  # nothing was new
    assert Tick.objects.count() == 2


def test_a_writer_that_would_not_see_what_others_stored_is_refused(btc: Market) -> None:
    with connected() as link:
        link.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.errors.RaiseException, match="read committed"):
            link.execute(INGEST, arguments(trade(1, NOON)))


def test_of_a_trade_that_comes_twice_the_first_counts_beside_others_of_its_time(btc: Market) -> None:
    store(trade(1, NOON, "10", id="stored"))
    first, again = trade(2, NOON, "11", id="a"), trade(3, NOON, "12", id="a")
    (change, _) = store(first, again, trade(4, NOON, "10", id="stored"), trade(1, NOON, id="a", market=ETH)).changes
    assert change.trades_added == 1
    found = Tick.objects.filter(market=btc).order_by("trade_id").values_list("trade_id", "price")
    assert [(name, str(price)) for name, price in found] == [("a", "11"), ("stored", "10")]


def test_a_trade_stored_twice_by_hand_is_found_and_healed(btc: Market) -> None:
    store(*(trade(n, NOON + n * SECOND, f"{n}") for n in range(1, 4)))
    whole = digest(btc)
    execute(TWICE)
    store(trade(4, NOON + SECOND, "7", id="another"), trade(5, NOON + 3 * SECOND, "3", id="t3"))
    execute("delete from tick where trade_id = 'another'")
    engine, day = PlainEngine(), moment(NOON)
    found = engine.verify(btc, day, day + DAY).differences
    assert {one.resolution for one in found} == {60, 3600, 86400}
    engine.heal(btc, found)
    assert (engine.verify(btc, day, day + DAY).differences, digest(btc)) == ([], whole)
    assert Tick.objects.count() == 3
