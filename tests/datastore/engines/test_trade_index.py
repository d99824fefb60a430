"""The index of trades is packed where that saves space, beside writers, and what an ended build has left is dropped."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError

from datastore.db.index_builds import build_index
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.engines import trade_index
from datastore.engines.rollups import PlainEngine
from datastore.engines.trade_index import INDEX, pack_trade_index

pytestmark = pytest.mark.django_db(transaction=True)
# Trades of 20 markets in turn, two of each time: every market's own place in the index is amid the others'.
TRADES = """
    insert into tick (market_id, ts, received_at, side, trade_id, price, amount)
    select m, instant(1700049600000000 + n / 2 * 1000000), statement_timestamp(), 1, n::text, 100, 1
      from generate_series(%s, %s) n, generate_series(1, 20) m"""
NOTE = "select obj_description(to_regclass('tick_market_ts'), 'pg_class')"


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_index, "MIN_ROWS", 10_000)
    execute("comment on index tick_market_ts is null")


def add(first: int, last: int) -> None:
    for begin in range(first, last, 100):  # as batches come
        execute(TRADES, [begin, min(begin + 99, last)])
    execute("analyze tick")


def test_a_loose_index_is_packed_once_and_again_when_it_has_become_loose() -> None:
    add(1, 2_000)
    sizes = pack_trade_index()
    assert sizes is not None
    before, after = sizes
    assert after < 0.7 * before
    assert fetch_value(NOTE) == f"bytes for each trade when it was packed: {after / 40_000:.2f}"
    assert pack_trade_index() is None
    add(2_001, 4_000)
    assert PlainEngine().pack(datetime.now(UTC)) == 0
    assert pack_trade_index() is None
    assert fetch_value("select pg_relation_size(to_regclass(%s))", [INDEX]) < 2.1 * after


def test_a_table_that_nobody_counted_or_with_few_trades_is_left_alone() -> None:
    add(1, 400)
    assert pack_trade_index() is None
    assert fetch_value(NOTE) is None


def test_what_an_ended_build_has_left_is_dropped_before_the_next() -> None:
    add(1, 10)
    with suppress(IntegrityError):  # it fails at its end, and leaves what it has
        execute("create unique index concurrently left_behind on tick (side)")
    assert fetch_all(statement("indexes", "invalid"), {"table": "tick"}) == [("public", "left_behind")]
    build_index("tick", f"reindex index concurrently {INDEX}")
    assert fetch_all(statement("indexes", "invalid"), {"table": "tick"}) == []
