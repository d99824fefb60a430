from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from django_redis import get_redis_connection

from datastore.engines.edition import Case, timescale_edition
from datastore.engines.timescale import Timescale
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from tests.datastore.conftest import ProviderTime, provider_time  # noqa: F401 - the fixture
from tests.support.datastore.records import BTC
from tests.support.timescale import server
from tests.support.timescale.feed import END, MARKETS, Feed
from tests.support.timescale.parity_log import play

On = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def template(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    """Return the name of a database on TimescaleDB with the schema and nothing in it."""
    if not server.URL:
        pytest.skip(server.HOW)
    with django_db_blocker.unblock(), server.database() as name:  # type: ignore[attr-defined]
        server.make_schema(name)
        with server.speaking_to(name):
            found = timescale_edition()
        assert found.case is Case.CONVERTED, f"{server.HOW}: this one is {found.told}"
        yield name


@pytest.fixture
def name(template: str, transactional_db: None) -> Iterator[str]:
    """Return the name of an empty database on TimescaleDB."""
    with server.database(template) as made:
        yield made


@pytest.fixture
def timescale(name: str) -> Iterator[None]:
    """Let the test run on TimescaleDB."""
    with server.speaking_to(name):
        yield


@pytest.fixture
def on(name: str) -> On:
    """Return a way to run a part of a test on either engine, the cache emptied before."""

    def choose(engine: str) -> AbstractContextManager[None]:
        get_redis_connection("default").flushdb()
        return server.speaking_to(name) if engine == "timescale" else nullcontext()

    return choose


@pytest.fixture
def market(timescale: None, provider_time: ProviderTime) -> Market:  # noqa: F811 - the same fixture
    """Return a market with three days of trades, its aggregates up to date."""
    markets = {one.symbol: one for one in ensure_markets(MARKETS)}
    for batch in Feed().batches():
        play(batch, provider_time, markets)
    provider_time.set(END)
    Timescale().refresh()
    return markets[BTC]
