"""A database is turned into a hypertable and back, in place, and keeps all that it has."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from datastore.db.queries import fetch_all, fetch_value
from datastore.engines.rollups import CannotConvert, PlainEngine, convert, convert_back, database_engine
from datastore.engines.timescale import TimescaleEngine
from datastore.ingest.live_write import digest
from datastore.models import Market
from datastore.tasks import aggregate, pack
from tests.support.datastore.records import MINUTE, NOON, store, trade
from tests.support.timescale.parity_log import TICKS, aggregates, count, verified
from tests.support.timescale.server import admin, database, speaking_to


def test_turning_back_and_forth_keeps_every_trade_and_the_schema(market: Market) -> None:
    pack()
    trades, before, columns = fetch_all(TICKS), digest(market), described()
    convert_back()
    assert type(database_engine()) is PlainEngine
    assert (fetch_all(TICKS), digest(market), described()) == (trades, before, columns)
    store(trade(9001, NOON + MINUTE))
    convert()
    assert count("tick") == len(trades) + 1 and described() == columns
    assert aggregates() == []
    aggregate()
    assert aggregates() and verified()[1]


def test_the_migration_goes_both_ways(market: Market) -> None:
    trades = fetch_all(TICKS)
    call_command("migrate", "datastore", "0001", verbosity=0)
    assert fetch_value("select to_regclass('aggregate_candle') is null") and fetch_all(TICKS) == trades
    call_command("migrate", verbosity=0)
    assert type(database_engine()) is TimescaleEngine and fetch_all(TICKS) == trades


@pytest.fixture
def humble(template: str, transactional_db: None) -> Any:
    """Yield the name of an empty database and a role that may make tables there, but no extension."""
    with database() as name, admin(name) as link:
        role = name.replace("ck_", "role_")
        link.execute(f"create role {role} login")
        link.execute(f"grant all on schema public to {role}")
        yield name, role
        link.execute(f"drop owned by {role}")
        link.execute(f"drop role {role}")


def test_a_role_that_may_not_make_the_extension_gets_plain_tables(humble: tuple[str, str]) -> None:
    name, role = humble
    with speaking_to(name, USER=role):
        call_command("migrate", verbosity=0, interactive=False)
        assert type(database_engine()) is PlainEngine
        with pytest.raises(CannotConvert, match="the owner of the database must run"):
            convert()
    with admin(name) as link:
        link.execute("create extension timescaledb")
    with speaking_to(name, USER=role):
        convert()
        assert type(database_engine()) is TimescaleEngine


def described() -> list[Any]:
    """Return columns, constraints and indexes of the table of trades."""
    with connection.cursor() as cursor:
        told = connection.introspection.get_constraints(cursor, "tick")
    return [
        told,
        fetch_all(
            "select attname, atttypid::regtype::text, attnotnull from pg_attribute"
            " where attrelid = 'tick'::regclass and attnum > 0 order by attname"
        ),
    ]
