"""OKX as a provider, and the same one whose ids prove (OKX_IDS_PROVE)."""

from __future__ import annotations

from dataclasses import replace

from ingestion.providers.okx.catalogue import OkxCatalogue
from ingestion.providers.okx.history import OkxHistory
from ingestion.providers.okx.names import NAMES
from ingestion.providers.okx.stream import OkxStream
from ingestion.providers.okx.traits import TRAITS, TRAITS_BY_IDS
from ingestion.providers.port import Provider

PROVIDER = Provider(TRAITS, NAMES, OkxStream, OkxHistory(), OkxCatalogue())
PROVIDER_BY_IDS = replace(PROVIDER, traits=TRAITS_BY_IDS)
