"""Databases of older releases are upgraded by `migrate`, whatever rows they hold.

The dumps hold what Redis and what Kafka leave behind: only the text of a dead letter's position differs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from pytest_django.plugin import DjangoDbBlocker

from actor_runtime.models import actor_models
from actor_runtime.ownership.claims import claim, roles_of
from datastore.db.queries import execute, fetch_all, fetch_value, run_script
from datastore.models import Coverage, DeadLetter, Market, ProviderClock
from datastore.reference.provider_clock import saved_clock
from tests.support.database_server import DatabaseServer
from tests.support.datastore.schema import schema
from tests.support.upgrade import contents
from tests.support.upgrade.contents import recorded, store_one_more_trade
from tests.support.upgrade.dumps import Dump, assert_kept, dumps, rows, tables

SERVER = DatabaseServer(os.environ["DATABASE_URL"])
UNMARK = """
    select string_agg(format('comment on function %%s is null', p.oid::regprocedure), ';')
      from pg_proc p where p.pronamespace = current_schema()::regnamespace"""
FORGET = "delete from django_migrations where name in ('0001_first_release', '0002_timescale')"
# What a dump need not hold: rows of Django's that Candlekeep does not write, or only while the scheduler runs.
EMPTY = ("auth_group", "auth_user_", "django_admin_log", "django_celery_beat_", "django_session")


@pytest.fixture
def fresh(transactional_db: None) -> list[str]:
    """Return the schema that `migrate` makes of an empty database."""
    return schema()


@pytest.fixture(params=dumps(), ids=lambda dump: dump.name)
def old(request: pytest.FixtureRequest, fresh: list[str]) -> Iterator[Dump]:
    """Let the test run on a database of an older release."""
    dump: Dump = request.param
    with loaded(dump):
        yield dump


@pytest.fixture(scope="module", params=dumps(), ids=lambda dump: dump.name)
def template(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Dump, str]]:
    """Return a database of an older release that was upgraded, for tests that look at what comes after."""
    dump: Dump = request.param
    with django_db_blocker.unblock(), SERVER.database() as name:
        dump.load(SERVER, name)
        with SERVER.speaking_to(name):
            migrate()
        yield dump, name


@pytest.fixture
def upgraded(template: tuple[Dump, str], transactional_db: None) -> Iterator[Dump]:
    """Let the test run on a copy of it."""
    dump, made = template
    with SERVER.database(made) as name, SERVER.speaking_to(name):
        yield dump


@contextmanager
def loaded(dump: Dump) -> Iterator[None]:
    with SERVER.database() as name:
        dump.load(SERVER, name)
        with SERVER.speaking_to(name):
            yield


def as_answered(now: Any, before: Any) -> Any:
    """Return what is answered now without the fields that there were not before."""
    if isinstance(now, dict) and isinstance(before, dict):
        return {name: as_answered(now[name], before[name]) for name in now.keys() & before.keys()}
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        return [as_answered(one, other) for one, other in zip(now, before, strict=True)]
    return now


def migrate() -> None:
    call_command("migrate", verbosity=0, interactive=False, skip_checks=False)


def test_there_is_a_dump_of_the_first_release() -> None:
    assert "first_release" in [dump.name for dump in dumps()]


def test_every_row_is_kept(old: Dump) -> None:
    there = tables()
    before = rows(there)
    migrate()
    assert_kept(there, before)


def test_the_schema_becomes_that_of_a_new_database(old: Dump, fresh: list[str]) -> None:
    migrate()
    assert schema() == fresh


def test_candles_and_certificates_are_answered_as_before(upgraded: Dump) -> None:
    found = recorded()
    for asked, answer in upgraded.answered().items():
        assert as_answered(found[asked], answer) == answer, asked


def test_every_market_stays_with_the_provider_that_there_was(old: Dump) -> None:
    for _ in range(2):  # what is repeated changes nothing
        migrate()
        assert set(Market.objects.values_list("provider", flat=True)) == {"cryptocompare"}


def test_the_only_provider_of_before_keeps_its_identity_and_its_clock(old: Dump) -> None:
    (identity,) = [provider for (provider,) in fetch_all("select provider from provider_clock")]
    migrate()
    (clock,) = ProviderClock.objects.all()
    assert (clock.provider, clock.identity, clock.simulated) == ("cryptocompare", identity, True)
    assert saved_clock("cryptocompare") == clock


def test_what_was_proven_rests_on_connections_and_on_the_provider_s_candles(upgraded: Dump) -> None:
    assert set(Coverage.objects.values_list("source", "proof")) == {("live", "connection"), ("provider", "candle")}


def test_one_more_trade_is_stored(upgraded: Dump) -> None:
    trades = fetch_value("select count(*) from tick")
    store_one_more_trade()
    assert fetch_value("select count(*) from tick") == trades + 1


def test_an_index_whose_build_was_ended_is_built_from_its_beginning(old: Dump, fresh: list[str]) -> None:
    """The trades get an index in place of their key, without a pause for anybody, so that half of it may be there."""
    with suppress(IntegrityError):
        execute("create unique index concurrently tick_market_ts on tick (market_id, side)")
    assert fetch_value("select not indisvalid from pg_index where indexrelid = 'tick_market_ts'::regclass")
    migrate()
    assert schema() == fresh
    assert fetch_value("select count(*) from pg_index where indrelid = 'tick'::regclass") == 1


def test_a_database_of_a_development_version_is_taken_over(fresh: list[str]) -> None:
    """Its tables are the same; its migrations have the names of before, and its functions are not marked."""
    with loaded(Dump("first_release")):
        execute(FORGET)
        run_script(fetch_value(UNMARK))
        there = tables()
        before = rows(there)
        migrate()
        assert_kept(there, before)
        assert schema() == fresh
        answered = Dump("first_release").answered()
        assert as_answered(recorded(), answered) == answered
        store_one_more_trade()


@pytest.mark.django_db(transaction=True)
def test_a_dump_made_now_would_hold_every_kind_of_row() -> None:
    contents.fill()
    empty = [table for table, found in rows(tables()).items() if not found]
    assert [table for table in empty if not table.startswith(EMPTY)] == []
    positions = DeadLetter.objects.values_list("position", flat=True)
    assert sorted(positions) == ["", contents.REDIS_POSITION, contents.KAFKA_POSITION]


def test_the_actors_of_before_have_their_roles_and_are_claimed_again(upgraded: Dump) -> None:
    roles = {row.name: row.role for model in actor_models() for row in model._default_manager.all()}
    assert roles
    for name, role in roles.items():
        assert role in ("dynamic", "request") or role == name.rpartition("-")[0]
    models = [model for model in actor_models() if model.interchangeable]
    for model in models:
        model._default_manager.update(owner="")
        for role in roles_of(model):
            assert claim(model, role, "here:2:2") is not None
