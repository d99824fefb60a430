"""The providers' clocks, set by a test."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from datastore.db.queries import execute
from datastore.reference.provider_clock import save_clock, steady_now
from ingestion.providers.table import PROVIDERS
from tests.support.datastore.records import micros, moment


class ProviderTime:
    """Sets the clocks of all providers; they then run on."""

    def set(self, now: int, *, certain_until: int | None = None) -> None:
        """Let the provider's time be `now`; certain_until: its time before it last jumped ahead."""
        execute("delete from provider_clock")
        certain = None if certain_until is None else moment(certain_until)
        offset = timedelta(microseconds=now - micros(steady_now()))
        for provider in PROVIDERS:
            save_clock(provider, offset, certain)

    def forget(self) -> None:
        """Let no stamp of the provider have been seen."""
        execute("delete from provider_clock")


@pytest.fixture
def provider_time(db: None) -> ProviderTime:
    assert connection.vendor == "postgresql"
    return ProviderTime()
