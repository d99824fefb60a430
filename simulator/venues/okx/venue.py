"""OKX as a venue: what is put together to serve it."""

from __future__ import annotations

from simulator.venues.ledger import Ledger
from simulator.venues.limits import Bucket, Window
from simulator.venues.okx.feed import OkxFeed
from simulator.venues.okx.names import instrument_of
from simulator.venues.okx.rest import OkxRest
from simulator.venues.protocol import Protocol

OKX = Protocol(
    name="okx",
    stream_path="/ws/v5/business",
    name_of=instrument_of,
    ledger=Ledger,
    limits=lambda: {"calls": Window("calls", 2, 20), "connections": Bucket("connections", 3, 3)},
    feed=OkxFeed,
    rest=OkxRest,
)
