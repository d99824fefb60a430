"""The venues that can be served, by name."""

from __future__ import annotations

from simulator.venues.coinbase.venue import COINBASE
from simulator.venues.protocol import Protocol

VENUES: dict[str, Protocol] = {protocol.name: protocol for protocol in (COINBASE,)}
