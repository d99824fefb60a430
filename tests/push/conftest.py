"""The provider's clock of the datastore's tests serves here too."""

from __future__ import annotations

import logging

from tests.datastore.conftest import ProviderTime, provider_time

for noisy in ("httpx", "uvicorn.error"):
    logging.getLogger(noisy).setLevel(logging.WARNING)  # a line per request hides what a failing test has to say

__all__ = ["ProviderTime", "provider_time"]
