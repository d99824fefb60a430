from __future__ import annotations

from collections.abc import Iterator

import pytest
from django_redis import get_redis_connection

from datastore.markets import ensure_markets
from datastore.models import Market
from tests.api import rows


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """Leave nothing in the cache for the next test, whose rows have the same names."""
    yield
    get_redis_connection("default").flushdb()


@pytest.fixture
def market(db: None) -> Market:
    """BTC-USD at coinbase, beside ETH-USD there and BTC-USD at kraken, of a provider that runs."""
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL, "coinbase:ETH-USD", "kraken:BTC-USD"])[0]
