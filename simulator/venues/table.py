"""The venues that can be served, by name."""

from __future__ import annotations

from simulator.venues.binance.venue import BINANCE, BINANCE_US
from simulator.venues.coinbase.venue import COINBASE
from simulator.venues.kraken.venue import KRAKEN
from simulator.venues.okx.venue import OKX
from simulator.venues.protocol import Protocol

VENUES: dict[str, Protocol] = {protocol.name: protocol for protocol in (BINANCE, BINANCE_US, COINBASE, KRAKEN, OKX)}
