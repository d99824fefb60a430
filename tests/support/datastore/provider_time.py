"""The provider's clock, set by a test."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from datastore.db.queries import execute
from datastore.reference.provider_clock import save_clock, steady_now
from tests.support.datastore.records import micros


class ProviderTime:
    """Sets the provider's clock; it then runs on."""

    def set(self, now: int) -> None:
        """Let the provider's time be `now`, even if that means going back, which only tests may do."""
        execute("delete from provider_clock")
        save_clock(timedelta(microseconds=now - micros(steady_now())))

    def forget(self) -> None:
        """Let no stamp of the provider have been seen."""
        execute("delete from provider_clock")


@pytest.fixture
def provider_time(db: None) -> ProviderTime:
    assert connection.vendor == "postgresql"
    return ProviderTime()
