from __future__ import annotations

import json
from decimal import Decimal

import pytest

from benchmarks.plain_recorder import rows_of
from benchmarks.venue_feed import QUOTES
from ingestion.providers.events import TradeSeen
from tests.support.ingestion.venues import VENUES, Made, Venue


@pytest.mark.parametrize("venue", [one for one in VENUES if one.name in QUOTES], ids=lambda one: one.name)
def test_the_peer_of_the_benchmark_records_the_trades_that_we_read(venue: Venue) -> None:
    frame = json.dumps(venue.frame_of(Made(7, 1_787_628_960_123_000, fills=(11, 13) if venue.aggregates else None)))
    ours = [event for event in venue.provider.stream().read_frame(frame.encode()) if isinstance(event, TradeSeen)]
    plain = [
        (market, first, last, Decimal(str(price)), Decimal(str(amount)))
        for market, first, last, _, price, amount, _ in rows_of(venue.name, json.loads(frame))
    ]
    assert plain == [(one.sub, one.first, one.last, one.price, one.amount) for one in ours]
    assert len(plain) == 1
