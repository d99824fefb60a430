"""OKX's instruments: BTC-USDT."""

from __future__ import annotations

from ingestion.providers.reading import DashedNames

NAMES = DashedNames("okx")
