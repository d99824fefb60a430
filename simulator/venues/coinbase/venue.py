"""Coinbase as a venue: what is put together to serve it."""

from __future__ import annotations

from simulator.venues.coinbase.feed import CoinbaseFeed
from simulator.venues.coinbase.names import product_of
from simulator.venues.coinbase.rest import CoinbaseRest
from simulator.venues.ledger import Ledger
from simulator.venues.limits import Bucket
from simulator.venues.protocol import Protocol

COINBASE = Protocol(
    name="coinbase",
    stream_path="/",
    name_of=product_of,
    ledger=Ledger,
    limits=lambda: {"calls": Bucket("calls", 10, 15), "connections": Bucket("connections", 8, 20)},
    feed=CoinbaseFeed,
    rest=CoinbaseRest,
)
