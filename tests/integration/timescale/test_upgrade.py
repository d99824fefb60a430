"""A database of an older release whose trades are a hypertable is upgraded, and one that is converted afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command

from datastore.db.queries import run_script
from datastore.engines.rollups import convert, database_engine
from datastore.engines.timescale import TimescaleEngine
from tests.support.datastore.schema import schema
from tests.support.timescale.server import SERVER
from tests.support.upgrade.contents import recorded, store_one_more_trade
from tests.support.upgrade.dumps import Dump, assert_kept, dumps, rows, tables


@pytest.fixture
def fresh(template: str, transactional_db: None) -> list[str]:
    """Return the schema that `migrate` makes of an empty database."""
    with SERVER.speaking_to(template):
        return schema()


@pytest.fixture(params=dumps(), ids=lambda dump: dump.name)
def old(request: pytest.FixtureRequest, fresh: list[str]) -> Iterator[Dump]:
    """Let the test run on a database of an older release, still with plain tables."""
    with SERVER.database() as name:
        request.param.load(SERVER, name)
        with SERVER.speaking_to(name):
            yield request.param


def converted_by_its_own_release(dump: Dump) -> None:
    run_script("create extension if not exists timescaledb")
    run_script(dump.conversion.read_text())


def check(dump: Dump, fresh: list[str], there: dict[str, list[str]], before: dict[str, list[str]]) -> None:
    assert type(database_engine()) is TimescaleEngine
    assert_kept(there, before)
    assert schema() == fresh
    assert recorded() == dump.answered()
    TimescaleEngine().refresh()
    store_one_more_trade()


def test_a_hypertable_of_an_older_release_is_upgraded(old: Dump, fresh: list[str]) -> None:
    there = tables()
    before = rows(there)
    converted_by_its_own_release(old)
    call_command("migrate", verbosity=0, interactive=False)
    check(old, fresh, there, before)


def test_plain_tables_of_an_older_release_are_upgraded_and_converted(old: Dump, fresh: list[str]) -> None:
    there = tables()
    before = rows(there)
    call_command("migrate", verbosity=0, interactive=False)
    convert()
    check(old, fresh, there, before)
