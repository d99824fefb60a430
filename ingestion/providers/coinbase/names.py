"""Coinbase's products: BTC-USD."""

from __future__ import annotations

from ingestion.providers.reading import DashedNames

NAMES = DashedNames("coinbase")
