"""The versions of markets in the cache are confirmed by one statement, for every market whose feed is taken."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from actor_runtime.steady_time import SteadyNow
from datastore.ingest.market_cache import confirm, market_key
from datastore.models import DynamicTopic
from datastore.reference.markets import ensure_markets, feed_markets, get_or_create_markets

pytestmark = pytest.mark.django_db
SYMBOLS = [f"kraken:A{n}-EUR" for n in range(4)]


def test_one_statement_confirms_all_markets_with_a_feed() -> None:
    client = get_redis_connection("default")
    client.flushall()
    ensure_markets(SYMBOLS[:2])
    for market, state in zip(
        get_or_create_markets(SYMBOLS[2:]), (DynamicTopic.State.LIVE, DynamicTopic.State.RETIRED), strict=True
    ):
        DynamicTopic.objects.create(
            name=f"dyn-{market.pk}", market=market, state=state, requested_at=SteadyNow(), created_at=SteadyNow()
        )
    fed = {market_key(symbol) for symbol in feed_markets().values_list("symbol", flat=True)}
    with CaptureQueriesContext(connection) as queries:
        assert confirm() == len(fed) == 3
    assert len(queries) == 1
    assert {key.decode() for key in client.keys("ck:market:*")} == fed
