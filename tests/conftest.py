"""What tests of several folders share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.support.datastore.provider_time import provider_time

__all__ = ["provider_time"]

# One database for all examples of a test: each makes markets of its own, so nothing is left over that another sees.
settings.register_profile(
    "candlekeep",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("candlekeep")
