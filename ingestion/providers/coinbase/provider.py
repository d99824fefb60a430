"""Coinbase Exchange as a provider."""

from __future__ import annotations

from ingestion.providers.coinbase.catalogue import CoinbaseCatalogue
from ingestion.providers.coinbase.history import CoinbaseHistory
from ingestion.providers.coinbase.names import NAMES
from ingestion.providers.coinbase.stream import CoinbaseStream
from ingestion.providers.coinbase.traits import TRAITS
from ingestion.providers.port import Provider

PROVIDER = Provider(TRAITS, NAMES, CoinbaseStream, CoinbaseHistory(), CoinbaseCatalogue())
