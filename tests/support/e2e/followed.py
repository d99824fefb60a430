"""What the tests know of the platform on which markets are added, followed and released."""

from __future__ import annotations

SPEED = 20
STALE_S = 12 * SPEED  # seconds of the provider's time: what a market that nobody follows is behind
BTC = "coinbase:BTC-USD"
