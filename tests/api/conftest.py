from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db.models.functions import Now

from coordination.models import Coordinator
from datastore import datastore_actor
from datastore.markets import ensure_markets
from datastore.models import Market
from tests.api import rows


@pytest.fixture
def market(db: None) -> Market:
    """BTC-USD at coinbase, beside ETH-USD there and BTC-USD at kraken, of a provider that runs."""
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL, "coinbase:ETH-USD", "kraken:BTC-USD"])[0]


@pytest.fixture
def coordinator(db: None) -> Coordinator:
    return Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())


@pytest.fixture(autouse=True)
def nothing_unanswered() -> Iterator[None]:
    yield
    datastore_actor._unanswered.clear()
