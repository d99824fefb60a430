"""How many statements a gap scan costs: as many for 30 markets as for 3, as long as nothing of them changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastore.backfill.gap_repair import scan
from datastore.models import GapRepair
from datastore.reference.markets import ensure_markets
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON, SECOND, closed, moment, opened, store, watermark

pytestmark = pytest.mark.django_db
MAX_AT_REST, MAX_PER_CHANGED_MARKET = 15, 60  # statements


def follow(count: int, provider_time: ProviderTime) -> None:
    """Follow so many markets, each with a feed that was away from 12:02 to 12:05."""
    symbols = [f"kraken:A{n}-EUR" for n in range(count)]
    ensure_markets(symbols)
    provider_time.set(NOON + 10 * MINUTE + 5 * SECOND)
    for symbol in symbols:
        feed: dict[str, Any] = {"feed": f"tick-data/{symbol}", "market": symbol}
        back = NOON + 5 * MINUTE
        store(
            opened(1, NOON, **feed),
            watermark(2, NOON + 2 * MINUTE, **feed),
            closed(3, None, **feed),
            opened(4, back, **feed),
            watermark(5, NOON + 10 * MINUTE, back, **feed),
        )


def statements_of_a_scan() -> int:
    with CaptureQueriesContext(connection) as queries:
        scan()
    return len(queries)


@pytest.mark.parametrize("count", [3, 30])
def test_a_scan_at_rest_costs_a_fixed_number_of_statements(count: int, provider_time: ProviderTime) -> None:
    follow(count, provider_time)
    scan()
    assert GapRepair.objects.count() == count
    found = statements_of_a_scan()
    print(f"\n{count} markets at rest: {found} statements")
    assert found <= MAX_AT_REST


@pytest.mark.parametrize("count", [3, 30])
def test_a_market_that_changed_adds_its_own_statements_only(count: int, provider_time: ProviderTime) -> None:
    follow(count, provider_time)
    scan()
    GapRepair.objects.filter(market__symbol="kraken:A0-EUR").update(stop=moment(NOON + 4 * MINUTE))
    found = statements_of_a_scan()
    print(f"\n{count} markets, one changed: {found} statements")
    assert found <= MAX_AT_REST + MAX_PER_CHANGED_MARKET


def test_a_scan_locks_no_market_that_a_feed_keeps_known(provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 10 * MINUTE)
    alive, quiet = ensure_markets(["kraken:A0-EUR", "kraken:A1-EUR"])
    for market, until in ((alive, NOON + 10 * MINUTE - 5 * SECOND), (quiet, NOON + 2 * MINUTE)):
        feed: dict[str, Any] = {"feed": f"tick-data/{market.symbol}", "market": market.symbol}
        store(opened(1, NOON, **feed), watermark(2, until, **feed))
    scan()  # its gap is noted
    provider_time.set(NOON + 10 * MINUTE + 20 * SECOND)
    with CaptureQueriesContext(connection) as queries:
        changes = scan()
    locking = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert [change.market for change in changes] == [quiet.symbol]
    assert len(locking) == 1
