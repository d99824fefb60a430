"""The live Producer's clocks: the database's relative to our own, and the provider's, taken from its stamps and stored.

Times are microseconds; local moments are monotonic seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from datastore.models import ProviderClock
from datastore.reference import provider_clock as stored_clock
from datastore.timeframes.intervals import SECOND_US, micros_of, moment
from ingestion.live.clock_estimate import ClockEstimate


class Timekeeper:
    """Give the database's time of any local moment, and keep the provider's clock for all who read it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.provider = ClockEstimate()
        self._database_lead = 0  # database clock - local monotonic
        self._saved_offset = 0

    def database_time(self, local: float | None = None) -> int:
        """Return the database's time at a local moment, by default now."""
        return round((self.monotonic() if local is None else local) * SECOND_US) + self._database_lead

    def measure(self) -> None:
        """Compare the database's clock with ours."""
        before = self.monotonic()
        database = micros_of(stored_clock.database_now())
        middle = (before + self.monotonic()) / 2
        self._database_lead = database - round(middle * SECOND_US)

    def restore(self) -> None:
        """Continue from the stored clock at the first start, so that time does not go back."""
        stored = ProviderClock.objects.exclude(clock_offset=None).first()
        if stored and stored.clock_offset is not None and stored.floor and not self.provider.floor:
            offset = round(stored.clock_offset / timedelta(microseconds=1))
            self.provider = ClockEstimate(offset, micros_of(stored.floor))

    def save(self) -> None:
        """Store the provider's clock, once it was measured."""
        if self.provider.measured:
            self._saved_offset = self.provider.offset
            stored_clock.save_clock(timedelta(microseconds=self.provider.offset), moment(self.provider.floor))

    def save_if_moved(self) -> None:
        """Store the provider's clock if it has moved by more than a second since it was last stored."""
        if abs(self.provider.offset - self._saved_offset) > SECOND_US:
            self.save()
