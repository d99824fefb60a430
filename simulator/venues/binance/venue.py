"""Binance and Binance.US as venues: what is put together to serve them."""

from __future__ import annotations

from dataclasses import replace

from simulator.venues.binance.feed import BinanceFeed
from simulator.venues.binance.names import symbol_of
from simulator.venues.binance.rest import BinanceRest
from simulator.venues.ledger import AggregateLedger
from simulator.venues.limits import Window
from simulator.venues.protocol import Protocol

BINANCE = Protocol(
    name="binance",
    stream_path="/stream",
    more_streams=("/ws", "/ws/{streams:path}"),
    name_of=symbol_of,
    ledger=AggregateLedger,
    limits=lambda: {
        "calls": Window("calls", 300, 61_000),
        "weight": Window("weight", 60, 6000),
        "connections": Window("connections", 300, 300),
    },
    feed=BinanceFeed,
    rest=BinanceRest,
)

BINANCE_US = replace(
    BINANCE,
    name="binanceus",
    limits=lambda: {
        "calls": Window("calls", 300, 6100),
        "weight": Window("weight", 60, 1200),
        "connections": Window("connections", 300, 300),
    },
)
