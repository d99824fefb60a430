"""The provider's clock of the datastore's tests serves here too."""

from __future__ import annotations

from tests.datastore.conftest import ProviderTime, provider_time

__all__ = ["ProviderTime", "provider_time"]
