"""Kraken as a venue: what is put together to serve it."""

from __future__ import annotations

from simulator.venues.kraken.feed import KrakenFeed
from simulator.venues.kraken.names import socket_name
from simulator.venues.kraken.rest import KrakenRest
from simulator.venues.ledger import Ledger
from simulator.venues.limits import Bucket, Window
from simulator.venues.protocol import Protocol

KRAKEN = Protocol(
    name="kraken",
    stream_path="/v2",
    name_of=socket_name,
    ledger=Ledger,
    # One call a second; two may come close together, for the network is not even.
    limits=lambda: {"calls": Bucket("calls", 1, 2), "connections": Window("connections", 600, 150)},
    feed=KrakenFeed,
    rest=KrakenRest,
)
