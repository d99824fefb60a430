"""The table of all providers, the one place that names them."""

from __future__ import annotations

from ingestion.providers.cryptocompare.traits import TRAITS as CRYPTOCOMPARE

TRAITS = (CRYPTOCOMPARE,)
