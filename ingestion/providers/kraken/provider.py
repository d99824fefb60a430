"""Kraken as a provider."""

from __future__ import annotations

from ingestion.providers.kraken.catalogue import KrakenCatalogue
from ingestion.providers.kraken.history import KrakenHistory
from ingestion.providers.kraken.names import KrakenNames
from ingestion.providers.kraken.stream import KrakenStream
from ingestion.providers.kraken.traits import TRAITS
from ingestion.providers.port import Provider

PROVIDER = Provider(TRAITS, KrakenNames(), KrakenStream, KrakenHistory(), KrakenCatalogue())
