"""Binance and Binance.US as providers."""

from __future__ import annotations

from ingestion.providers.binance.catalogue import BinanceCatalogue
from ingestion.providers.binance.history import BinanceHistory
from ingestion.providers.binance.names import BinanceNames
from ingestion.providers.binance.stream import BinanceStream
from ingestion.providers.binance.traits import TRAITS, US_TRAITS
from ingestion.providers.port import Provider

PROVIDER = Provider(TRAITS, BinanceNames(), BinanceStream, BinanceHistory(), BinanceCatalogue(TRAITS.name))
US_PROVIDER = Provider(US_TRAITS, BinanceNames(), BinanceStream, BinanceHistory(), BinanceCatalogue(US_TRAITS.name))
