from __future__ import annotations

import pytest
from django.db import transaction

from datastore.markets import ensure_markets
from datastore.models import Candle, Market
from datastore.writes import StoreResult, store_live
from streaming.records import LiveRecord
from tests.datastore.records import BTC, ETH, NOON, SECOND, trade

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def btc() -> Market:
    return ensure_markets([BTC, ETH])[0]


def values_of(row: Candle) -> tuple[object, ...]:
    return (row.open, row.high, row.low, row.close, row.volume, row.quote_volume)


def store(*records: LiveRecord) -> StoreResult:
    with transaction.atomic():
        return store_live(records)


def test_a_batch_makes_its_minute_hour_and_day(btc: Market) -> None:
    result = store(trade(1, NOON + 5, "100", "2"), trade(2, NOON + 9, "90.50", "1"), trade(3, NOON + 70 * SECOND, "95"))
    assert [(change.market, change.version, change.changed, change.trades_added) for change in result.changes] == [
        (BTC, 1, True, 3)
    ]
    rows = Candle.objects.filter(market=btc).order_by("resolution", "open_time")
    shown = [(row.resolution, *map(str, values_of(row)), row.trades) for row in rows]
    assert shown == [
        (60, "100", "100", "90.5", "90.5", "3", "290.5", 2),
        (60, "95", "95", "95", "95", "1", "95", 1),
        (3600, "100", "100", "90.5", "95", "4", "385.5", 3),
        (86400, "100", "100", "90.5", "95", "4", "385.5", 3),
    ]
