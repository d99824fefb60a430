from __future__ import annotations

import pytest

from datastore.markets import ensure_markets
from datastore.models import Market
from tests.api import rows


@pytest.fixture
def market(db: None) -> Market:
    """BTC-USD at coinbase, beside ETH-USD there and BTC-USD at kraken, of a provider that runs."""
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL, "coinbase:ETH-USD", "kraken:BTC-USD"])[0]
