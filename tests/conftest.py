"""What tests of several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings

from tests.support.database import empty_tables
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


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """Empty the tables behind a test that commits in a tenth of the time that Django takes for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: empty_tables())
        yield
